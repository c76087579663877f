#ifndef EQUIPOISE_CORE_OPS_ATTENTION_H_
#define EQUIPOISE_CORE_OPS_ATTENTION_H_

#include <cstdint>

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"

namespace equipoise {

// Causal scaled dot-product attention with grouped queries (Ainslie et al., GQA, 2023): query head
// h reads key-value head h / (Q / KV). Scores are scaled by 1/sqrt(D). Sequences are the
// consecutive runs of `sequence_length` rows; T is a multiple of it.
//
// q [T, Q, D], k and v [T, KV, D], out [T, Q, D]; log_sum_exp [T, Q] of the same type is saved for
// the backward, which recomputes the scores block by block: nothing of size S x S per head is kept,
// and at most a block of it exists at a time (Dao et al., FlashAttention, 2022).
void AttentionForward(const Context& context, int64_t sequence_length, ConstTensorView q,
                      ConstTensorView k, ConstTensorView v, TensorView out, TensorView log_sum_exp);

struct AttentionSaved {
  ConstTensorView q, k, v, out, log_sum_exp;
};
// dq, dk, dv are overwritten.
void AttentionBackward(const Context& context, int64_t sequence_length, const AttentionSaved& saved,
                       ConstTensorView dout, TensorView dq, TensorView dk, TensorView dv);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_OPS_ATTENTION_H_
