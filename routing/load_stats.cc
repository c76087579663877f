#include "routing/load_stats.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <vector>

#include "core/base/check.h"

namespace equipoise::routing {
namespace {

// Gini coefficient of ascending values with a positive sum:
// sum_i (2 i - n + 1) x_i / (n sum x), i from 0.
double Gini(std::span<const double> ascending, double total) {
  const double n = static_cast<double>(ascending.size());
  double weighted = 0.0;
  for (size_t i = 0; i < ascending.size(); ++i) {
    weighted += (2.0 * static_cast<double>(i) - n + 1.0) * ascending[i];
  }
  return weighted / (n * total);
}

double NormalisedEntropy(std::span<const double> load, double total) {
  if (load.size() < 2) return 1.0;
  double entropy = 0.0;
  for (const double value : load) {
    if (value > 0.0) entropy -= value / total * std::log(value / total);
  }
  return entropy / std::log(static_cast<double>(load.size()));
}

}  // namespace

LoadStats ComputeLoadStats(std::span<const double> load) {
  LoadStats stats;
  std::vector<double> ascending(load.begin(), load.end());
  std::sort(ascending.begin(), ascending.end());
  stats.dead = std::count(load.begin(), load.end(), 0.0);
  const double total = std::accumulate(ascending.begin(), ascending.end(), 0.0);
  if (total <= 0.0) return stats;

  const double mean = total / static_cast<double>(load.size());
  double squares = 0.0;
  for (const double value : load) squares += (value - mean) * (value - mean);
  stats.gini = Gini(ascending, total);
  stats.min_max = ascending.front() / ascending.back();
  stats.max_over_mean = ascending.back() / mean;
  stats.cv = std::sqrt(squares / static_cast<double>(load.size())) / mean;
  stats.entropy = NormalisedEntropy(load, total);
  return stats;
}

LoadStats SamplingFloor(int64_t tokens, int num_experts, double copies_per_token) {
  EQ_CHECK_GE(tokens, 0);
  EQ_CHECK(copies_per_token >= 0.0 && copies_per_token <= num_experts)
      << "K=" << copies_per_token << " E=" << num_experts;
  LoadStats floor;
  if (tokens == 0 || copies_per_token == 0.0) {
    floor.dead = num_experts;
    return floor;
  }
  const double experts = num_experts;
  const double chance = copies_per_token / experts;
  const double rows = static_cast<double>(tokens) * chance;
  floor.cv = std::sqrt((1.0 - chance) / rows);
  floor.gini = std::min(floor.cv / std::sqrt(std::numbers::pi), 1.0 - 1.0 / experts);
  const double spread = floor.cv * std::sqrt(2.0 * std::log(experts));
  floor.max_over_mean = std::min(1.0 + spread, experts);
  floor.min_max = std::max(0.0, 1.0 - spread) / floor.max_over_mean;
  // Second order in the deviations of the shares: ln E - CV^2 / 2.
  if (num_experts > 1) {
    floor.entropy = std::max(0.0, 1.0 - floor.cv * floor.cv / (2.0 * std::log(experts)));
  }
  floor.dead = std::llround(experts * std::pow(1.0 - chance, static_cast<double>(tokens)));
  return floor;
}

}  // namespace equipoise::routing
