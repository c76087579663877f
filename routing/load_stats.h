#ifndef EQUIPOISE_ROUTING_LOAD_STATS_H_
#define EQUIPOISE_ROUTING_LOAD_STATS_H_

#include <cstdint>
#include <span>

namespace equipoise::routing {

// How evenly a load is spread. All zero load gives the values of a perfectly even one, with
// dead = number of entries.
struct LoadStats {
  double gini = 0.0;           // 0 even, (E-1)/E everything on one
  double min_max = 1.0;        // min / max
  double max_over_mean = 1.0;  // the slowest expert's share of time; MaxVio + 1
  double cv = 0.0;             // standard deviation (population) / mean
  double entropy = 1.0;        // of the shares, divided by ln E
  int64_t dead = 0;            // entries without load
};
LoadStats ComputeLoadStats(std::span<const double> load);

// What the same figures would be if every token chose K of E experts uniformly at random: balance
// better than this cannot be told from luck in a sample of `tokens`. K need not be an integer:
// where tokens have different numbers of copies it is their mean, what was really chosen or sent
// over the tokens (CV is then on the high side, by less than the spread of K over E). CV = sqrt((1
// - K/E)/m), Gini = CV / sqrt(pi), max/mean = 1 + CV * sqrt(2 ln E), m = tokens * K / E: of a
// normal distribution, so good from m of about 16 up; max/mean is on the high side. min/max is (1 -
// d) / (1 + d) for max/mean = 1 + d, entropy 1 - CV^2 / (2 ln E), dead E * (1 - K/E)^tokens,
// rounded. Without copies all experts are dead. REQUIRES: tokens >= 0, 0 <= copies_per_token <=
// num_experts.
LoadStats SamplingFloor(int64_t tokens, int num_experts, double copies_per_token);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LOAD_STATS_H_
