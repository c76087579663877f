#ifndef EQUIPOISE_CORE_NN_FEED_FORWARD_H_
#define EQUIPOISE_CORE_NN_FEED_FORWARD_H_

#include <cstdint>
#include <string>

#include "core/device/context.h"
#include "core/nn/parameter.h"
#include "core/tensor/tensor_view.h"

namespace equipoise {

// A SwiGLU feed-forward that every token passes: of dense layers, and the shared expert of MoE
// layers. y += Wdown (silu(Wgate x) * (Wup x)). Gate and up are one matrix, so one product.
class FeedForward {
 public:
  // Declares `prefix`{gate,up,down}_proj.weight; width F.
  FeedForward(int64_t hidden, int64_t width, double init_stddev, const std::string& prefix,
              ParameterRegistry& parameters);

  struct Saved {
    ConstTensorView x;   // [T, H], the caller's
    TensorView gate_up;  // [T, 2F]
  };
  // Adds to y [T, H]. x must live until Backward.
  Saved Forward(const Context& context, ConstTensorView x, TensorView y) const;
  // dx (+)= the gradient of x, adding when `accumulate_dx`.
  void Backward(const Context& context, const Saved& saved, ConstTensorView dy, TensorView dx,
                bool accumulate_dx) const;

 private:
  int64_t width_;
  Parameter* gate_up_;  // [2F, H]
  Parameter* down_;     // [H, F]
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_NN_FEED_FORWARD_H_
