#ifndef EQUIPOISE_CORE_OPS_EMBEDDING_H_
#define EQUIPOISE_CORE_OPS_EMBEDDING_H_

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"

namespace equipoise {

// y[t] = table[ids[t]]. ids I32 [T] in [0, V), table [V, H], y [T, H].
void EmbeddingForward(const Context& context, ConstTensorView ids, ConstTensorView table,
                      TensorView y);
// dtable[ids[t]] += dy[t], rows added in the order of t.
void EmbeddingBackward(const Context& context, ConstTensorView ids, ConstTensorView dy,
                       TensorView dtable);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_OPS_EMBEDDING_H_
