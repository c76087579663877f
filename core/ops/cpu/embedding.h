#ifndef EQUIPOISE_CORE_OPS_CPU_EMBEDDING_H_
#define EQUIPOISE_CORE_OPS_CPU_EMBEDDING_H_

#include "core/tensor/tensor_view.h"

namespace equipoise::cpu {

// The CPU's EmbeddingForward and EmbeddingBackward of core/ops/embedding.h.
template <typename T>
void EmbeddingForward(ConstTensorView ids, ConstTensorView table, TensorView y);
template <typename T>
void EmbeddingBackward(ConstTensorView ids, ConstTensorView dy, TensorView dtable);

}  // namespace equipoise::cpu

#endif  // EQUIPOISE_CORE_OPS_CPU_EMBEDDING_H_
