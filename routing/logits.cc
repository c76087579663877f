#include "routing/logits.h"

#include <utility>

#include "core/ops/gemm.h"
#include "routing/transposed.h"

namespace equipoise::routing {
namespace {

class LinearLogits final : public LogitSource {
 public:
  explicit LinearLogits(const Parameter* weight) : weight_(weight) {}

  void Forward(const Context& context, ConstTensorView x, TensorView logits) const override {
    LinearForward(context, x, weight_->value(), logits);
  }

  TensorView Prepare(const Context& context) const override {
    return Transposed(context, weight_->value());
  }

  void ForwardPrepared(const Context& context, ConstTensorView x, ConstTensorView prepared,
                       TensorView logits) const override {
    Gemm(context, Transpose::kNo, Transpose::kNo, 1.0, x, prepared, 0.0, logits);
  }

  void Backward(const Context& context, ConstTensorView x, ConstTensorView dlogits,
                TensorView dx) const override {
    LinearBackward(context, x, weight_->value(), dlogits, dx, /*accumulate_dx=*/true,
                   weight_->gradient());
  }

 private:
  const Parameter* weight_;
};

}  // namespace

Parameter* DeclareGate(const RouterOptions& options, ParameterRegistry& parameters) {
  ParameterSpec spec;
  spec.shape = {options.num_experts, options.hidden};
  spec.init_stddev = options.init_stddev;
  spec.parts = {{options.name_prefix + "gate.weight", spec.shape}};
  return parameters.Declare(std::move(spec));
}

std::unique_ptr<LogitSource> MakeLinearLogits(const Parameter* weight) {
  return std::make_unique<LinearLogits>(weight);
}

std::unique_ptr<LogitSource> MakeLinearLogits(const RouterOptions& options,
                                              ParameterRegistry& parameters) {
  return MakeLinearLogits(DeclareGate(options, parameters));
}

}  // namespace equipoise::routing
