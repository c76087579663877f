#ifndef EQUIPOISE_CORE_OPTIM_ADAMW_H_
#define EQUIPOISE_CORE_OPTIM_ADAMW_H_

#include <cstdint>

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"

namespace equipoise {

// AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019, Algorithm 2), with
// PyTorch's conventions: epsilon outside the square root, bias-corrected moments, decay scaled by
// the learning rate.
struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  // Per step and unit of learning rate, for parameters that decay (matrices; not norms).
  double weight_decay = 0.1;
};

// One slice of parameters and its state, all [n] and of one float type.
struct AdamWSlice {
  TensorView parameter;
  ConstTensorView gradient;
  TensorView first_moment;
  TensorView second_moment;
  bool decay = true;
};

// Updates a slice in place. `step` counts from 1; the gradient is multiplied by `gradient_scale`
// (clipping) on the way in. REQUIRES: step >= 1.
void AdamWUpdate(const Context& context, const AdamWOptions& options, int64_t step,
                 double learning_rate, double gradient_scale, const AdamWSlice& slice);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_OPTIM_ADAMW_H_
