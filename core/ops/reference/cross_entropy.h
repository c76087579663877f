#ifndef EQUIPOISE_CORE_OPS_REFERENCE_CROSS_ENTROPY_H_
#define EQUIPOISE_CORE_OPS_REFERENCE_CROSS_ENTROPY_H_

#include <cstdint>
#include <span>
#include <vector>

// What core/ops/cross_entropy.h must compute, in double, with all logits at once. For tests.
namespace equipoise::reference {

struct CrossEntropyResult {
  std::vector<double> losses;  // [T]
  std::vector<double> dx;      // [T, H]
  std::vector<double> dhead;   // [V, H]
};
// x [T, H], head [V, H], targets [T]; T is targets.size(). Gradients are those of gradient_scale
// times the sum of the losses.
CrossEntropyResult CrossEntropy(std::span<const double> x, std::span<const double> head,
                                std::span<const int32_t> targets, int64_t width,
                                double gradient_scale);

}  // namespace equipoise::reference

#endif  // EQUIPOISE_CORE_OPS_REFERENCE_CROSS_ENTROPY_H_
