#include "core/nn/expert_bank.h"

#include "core/ops/swiglu_experts.h"

namespace equipoise {

ExpertBank::ExpertBank(int64_t hidden, int64_t width, double init_stddev,
                       std::span<const int> experts, const std::string& prefix,
                       const ExpertTensorNames& names, ParameterRegistry& parameters)
    : width_(width) {
  const int64_t count = static_cast<int64_t>(experts.size());
  ParameterSpec gate_up;
  gate_up.shape = {count, 2 * width, hidden};
  gate_up.group = ParameterGroup::kExpert;
  gate_up.init_stddev = init_stddev;
  ParameterSpec down = gate_up;
  down.shape = {count, hidden, width};
  for (const int expert : experts) {
    const std::string name = prefix + "experts." + std::to_string(expert) + ".";
    gate_up.parts.push_back({name + names.gate + ".weight", {width, hidden}});
    gate_up.parts.push_back({name + names.up + ".weight", {width, hidden}});
    down.parts.push_back({name + names.down + ".weight", {hidden, width}});
  }
  gate_up_ = parameters.Declare(gate_up);
  down_ = parameters.Declare(down);
}

ExpertBank::Saved ExpertBank::Forward(const Context& context, ConstTensorView x,
                                      ConstTensorView offsets, TensorView y) const {
  Saved saved;
  saved.x = x;
  saved.offsets = offsets;
  saved.gate_up = context.activations->Allocate(x.dtype(), {x.dim(0), 2 * width_});
  SwiGluExpertsForward(context, {x, offsets, saved.gate_up}, {gate_up_->value(), down_->value()},
                       y);
  return saved;
}

void ExpertBank::Backward(const Context& context, const Saved& saved, ConstTensorView dy,
                          TensorView dx) const {
  SwiGluExpertsBackward(context, {saved.x, saved.offsets, saved.gate_up},
                        {gate_up_->value(), down_->value()}, dy,
                        {gate_up_->gradient(), down_->gradient()}, dx);
}

}  // namespace equipoise
