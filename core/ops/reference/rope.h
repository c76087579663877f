#ifndef EQUIPOISE_CORE_OPS_REFERENCE_ROPE_H_
#define EQUIPOISE_CORE_OPS_REFERENCE_ROPE_H_

#include <cstdint>
#include <span>

// What core/ops/rope.h must compute, in double. For tests.
namespace equipoise::reference {

// In place on x [rows, heads, head_dim]; direction is +1 for the forward, -1 for the way back.
void Rope(double theta, int64_t sequence_length, int64_t heads, int64_t head_dim, double direction,
          std::span<double> x);

}  // namespace equipoise::reference

#endif  // EQUIPOISE_CORE_OPS_REFERENCE_ROPE_H_
