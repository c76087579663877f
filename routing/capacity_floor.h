#ifndef EQUIPOISE_ROUTING_CAPACITY_FLOOR_H_
#define EQUIPOISE_ROUTING_CAPACITY_FLOOR_H_

#include <cstdint>

namespace equipoise::routing {

// How many tokens an expert must take until, in expectation, one of them is of the kind that it is
// for (LocMoE, Li et al., arXiv 2401.13920, section 3, theorem 1). There the experts' weights are
// orthogonal and of one length, tokens lie evenly on the sphere of `dimensions` d, and a token is
// for an expert if their cosine is at least `cosine` in absolute value; such a one comes with
// probability at most E p, p = 1 - I(cosine^2; 1/2, (d - 1) / 2), I the regularised incomplete beta
// function. So the floor is 1 / (E p): 1 / E for a cosine of 0 (and below), and it grows like
// exp(d cosine^2 / 2) / E. Infinite where p cannot be told from 0; NaN of NaN.
// REQUIRES: num_experts >= 1, dimensions >= 2.
double CapacityFloor(int num_experts, int64_t dimensions, double cosine);

// Cosines of the copies of one sequence with what stands for their experts.
struct RouteAngles {
  double copies = 0.0;
  double sum = 0.0;
  double largest = -1.0;  // -1: no copies

  void Add(double cosine) {
    copies += 1.0;
    sum += cosine;
    if (cosine > largest) largest = cosine;
  }
  double mean() const { return copies > 0.0 ? sum / copies : 0.0; }
};

// The floor of a sequence, from the mean cosine of its copies, and the clamp made of it.
struct CapacityClamp {
  int num_experts = 1;
  int64_t dimensions = 0;  // 0: angles are not defined, and nothing is clamped
  double safety = 0.0;     // times the floor; 0: nothing is clamped

  // At most the sequence's length: no expert can take more.
  double Floor(const RouteAngles& angles, int64_t sequence_length) const;
  // `capacity`, but not below the floor.
  int64_t Apply(int64_t capacity, const RouteAngles& angles, int64_t sequence_length) const;
};

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_CAPACITY_FLOOR_H_
