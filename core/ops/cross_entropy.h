#ifndef EQUIPOISE_CORE_OPS_CROSS_ENTROPY_H_
#define EQUIPOISE_CORE_OPS_CROSS_ENTROPY_H_

#include <cstdint>

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"

namespace equipoise {

struct CrossEntropyOptions {
  // Rows whose logits exist at one time: chunk_rows x V elements of scratch.
  int64_t chunk_rows = 256;
  // The gradient is scaled by this: 1 / (tokens of the global batch) for a mean over all ranks.
  double gradient_scale = 1.0;
};

// The language-model head and its loss in one: logits = x W^T, loss_t = logsumexp(logits_t) -
// logits_t[target_t]. Logits of at most one chunk exist at a time, forward and backward.
//
// x [T, H], head [V, H], targets I32 [T] in [0, V) or kIgnoredTarget (no loss, no gradient).
// losses [T] F64 receives loss_t in nats (0 for ignored rows).
// dx [T, H] is overwritten and dhead [V, H] is added to; both absent: the loss alone (validation).
inline constexpr int32_t kIgnoredTarget = -1;
void CrossEntropy(const Context& context, const CrossEntropyOptions& options, ConstTensorView x,
                  ConstTensorView head, ConstTensorView targets, TensorView losses, TensorView dx,
                  TensorView dhead);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_OPS_CROSS_ENTROPY_H_
