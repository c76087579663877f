#ifndef EQUIPOISE_CORE_OPS_REFERENCE_SWIGLU_H_
#define EQUIPOISE_CORE_OPS_REFERENCE_SWIGLU_H_

#include <cstdint>
#include <span>
#include <vector>

// What core/ops/swiglu.h must compute, in double. For tests. `width` is F.
namespace equipoise::reference {

std::vector<double> SwiGluForward(std::span<const double> gate_up, int64_t width);
std::vector<double> SwiGluBackward(std::span<const double> gate_up, std::span<const double> dy,
                                   int64_t width);

}  // namespace equipoise::reference

#endif  // EQUIPOISE_CORE_OPS_REFERENCE_SWIGLU_H_
