#ifndef EQUIPOISE_CORE_OPS_CPU_ATTENTION_H_
#define EQUIPOISE_CORE_OPS_CPU_ATTENTION_H_

#include <cstdint>

#include "core/ops/attention.h"

// core/ops/attention.h on the CPU, called with checked shapes.
namespace equipoise::cpu {

void AttentionForward(const Context& context, int64_t sequence_length, ConstTensorView q,
                      ConstTensorView k, ConstTensorView v, TensorView out, TensorView log_sum_exp);
void AttentionBackward(const Context& context, int64_t sequence_length, const AttentionSaved& saved,
                       ConstTensorView dout, TensorView dq, TensorView dk, TensorView dv);

}  // namespace equipoise::cpu

#endif  // EQUIPOISE_CORE_OPS_CPU_ATTENTION_H_
