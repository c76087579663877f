#ifndef EQUIPOISE_ROUTING_JITTER_H_
#define EQUIPOISE_ROUTING_JITTER_H_

#include <cstdint>

#include "core/base/rng.h"
#include "core/device/context.h"
#include "core/tensor/tensor_view.h"
#include "routing/router.h"

namespace equipoise::routing {

// Noise on what a router reads: every element of x times a uniform draw from [1 - amplitude, 1 +
// amplitude] (Switch Transformer, section 2.2). The draw is a function of (seed, layer, step, index
// of the token in the step, column): the same on any layout and when the backward pass makes it
// again. The experts' input is untouched. Off outside training. Thread-safe.
class InputJitter {
 public:
  InputJitter(double amplitude, const RouterOptions& options);

  bool active(const RouterInput& input) const { return amplitude_ > 0.0 && input.training; }
  // out = rows [first, first + n) of input.x times their draws; or, in the backward pass, `in`
  // times them. All [n, H]; accumulate: out += instead.
  void Multiply(const Context& context, const RouterInput& input, int64_t first, ConstTensorView in,
                bool accumulate, TensorView out) const;

 private:
  const double amplitude_;
  const Philox draws_;
};

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_JITTER_H_
