#ifndef EQUIPOISE_CORE_OPS_CPU_CROSS_ENTROPY_H_
#define EQUIPOISE_CORE_OPS_CPU_CROSS_ENTROPY_H_

#include "core/ops/cross_entropy.h"

// core/ops/cross_entropy.h on the CPU, called with checked shapes.
namespace equipoise::cpu {

void CrossEntropy(const Context& context, const CrossEntropyOptions& options, ConstTensorView x,
                  ConstTensorView head, ConstTensorView targets, TensorView losses, TensorView dx,
                  TensorView dhead);

}  // namespace equipoise::cpu

#endif  // EQUIPOISE_CORE_OPS_CPU_CROSS_ENTROPY_H_
