#ifndef EQUIPOISE_CORE_OPS_CPU_ROPE_H_
#define EQUIPOISE_CORE_OPS_CPU_ROPE_H_

#include <cstdint>

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"

namespace equipoise::cpu {

enum class RotationDirection : bool { kForward, kBack };

// core/ops/rope.h on the CPU, called with checked shapes.
void Rotate(const Context& context, double theta, int64_t sequence_length,
            RotationDirection direction, TensorView x);

}  // namespace equipoise::cpu

#endif  // EQUIPOISE_CORE_OPS_CPU_ROPE_H_
