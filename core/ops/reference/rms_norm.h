#ifndef EQUIPOISE_CORE_OPS_REFERENCE_RMS_NORM_H_
#define EQUIPOISE_CORE_OPS_REFERENCE_RMS_NORM_H_

#include <span>
#include <vector>

// What core/ops/rms_norm.h must compute, in double. For tests. Rows are as long as `weight`.
namespace equipoise::reference {

std::vector<double> RmsNormForward(std::span<const double> x, std::span<const double> weight,
                                   double epsilon);

struct RmsNormGradients {
  std::vector<double> dx, dweight;
};
// By the chain rule through the mean square, its root and the two products, one after the other.
RmsNormGradients RmsNormBackward(std::span<const double> x, std::span<const double> weight,
                                 double epsilon, std::span<const double> dy);

}  // namespace equipoise::reference

#endif  // EQUIPOISE_CORE_OPS_REFERENCE_RMS_NORM_H_
