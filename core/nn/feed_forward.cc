#include "core/nn/feed_forward.h"

#include "core/nn/declare.h"
#include "core/ops/gemm.h"
#include "core/ops/swiglu.h"

namespace equipoise {

FeedForward::FeedForward(int64_t hidden, int64_t width, double init_stddev,
                         const std::string& prefix, ParameterRegistry& parameters)
    : width_(width) {
  ParameterSpec gate_up;
  gate_up.shape = {2 * width, hidden};
  gate_up.init_stddev = init_stddev;
  gate_up.parts = {{prefix + "gate_proj.weight", {width, hidden}},
                   {prefix + "up_proj.weight", {width, hidden}}};
  gate_up_ = parameters.Declare(gate_up);
  down_ = DeclareMatrix(parameters, prefix + "down_proj.weight", hidden, width, init_stddev);
}

FeedForward::Saved FeedForward::Forward(const Context& context, ConstTensorView x,
                                        TensorView y) const {
  const int64_t tokens = x.dim(0);
  Saved saved;
  saved.x = x;
  saved.gate_up = context.activations->Allocate(x.dtype(), {tokens, 2 * width_});
  LinearForward(context, x, gate_up_->value(), saved.gate_up);
  context.Poll();
  const WorkspaceFrame frame(*context.scratch);
  const TensorView act = context.scratch->Allocate(x.dtype(), {tokens, width_});
  SwiGluForward(context, saved.gate_up, act);
  context.Poll();
  Gemm(context, Transpose::kNo, Transpose::kYes, 1.0, act, down_->value(), 1.0, y);
  return saved;
}

void FeedForward::Backward(const Context& context, const Saved& saved, ConstTensorView dy,
                           TensorView dx, bool accumulate_dx) const {
  const WorkspaceFrame frame(*context.scratch);
  const int64_t tokens = dy.dim(0);
  const TensorView act = context.scratch->Allocate(dy.dtype(), {tokens, width_});
  const TensorView dact = context.scratch->Allocate(dy.dtype(), {tokens, width_});
  SwiGluForward(context, saved.gate_up, act);
  LinearBackward(context, act, down_->value(), dy, dact, /*accumulate_dx=*/false,
                 down_->gradient());
  context.Poll();
  const TensorView d_gate_up = context.scratch->Allocate(dy.dtype(), saved.gate_up.shape());
  SwiGluBackward(context, saved.gate_up, dact, d_gate_up);
  context.Poll();
  LinearBackward(context, saved.x, gate_up_->value(), d_gate_up, dx, accumulate_dx,
                 gate_up_->gradient());
}

}  // namespace equipoise
