#ifndef EQUIPOISE_CORE_OPS_ROPE_H_
#define EQUIPOISE_CORE_OPS_ROPE_H_

#include <cstdint>

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"

namespace equipoise {

// Rotary position embedding (Su et al., 2021) in the rotate-half form that Hugging Face's Mixtral
// and Qwen3 use: features d and d + D/2 of a head turn together by position * theta^(-2d/D).
// In place on x [T, heads, D]; D even; row t stands at position t % sequence_length.
void RopeForward(const Context& context, double theta, int64_t sequence_length, TensorView x);
// The rotation back, in place on dx: the transpose of the forward.
void RopeBackward(const Context& context, double theta, int64_t sequence_length, TensorView dx);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_OPS_ROPE_H_
