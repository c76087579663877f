#include "routing/lpr/prototypes.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "routing/lpr/declare.h"
#include "routing/lpr/directions.h"

namespace equipoise::routing {

std::shared_ptr<Prototypes> Prototypes::Learned(const RouterOptions& router, int64_t dimensions,
                                                bool unit_length, ParameterRegistry& parameters) {
  std::shared_ptr<Prototypes> result(new Prototypes(router.num_experts, dimensions));
  result->unit_length_ = unit_length;
  // Decay and a constraint on the length would pull at each other.
  result->parameter_ =
      DeclareOfGate(router, parameters, "prototypes", {router.num_experts, dimensions},
                    {Init::kNormal, /*stddev=*/1.0, /*decay=*/!unit_length});
  return result;
}

std::shared_ptr<Prototypes> Prototypes::Fixed(int64_t dimensions, std::vector<double> points) {
  const int64_t count = static_cast<int64_t>(points.size()) / dimensions;
  EQ_CHECK_EQ(points.size(), static_cast<size_t>(count * dimensions));
  std::shared_ptr<Prototypes> result(new Prototypes(count, dimensions));
  result->fixed_ = std::move(points);
  return result;
}

ConstTensorView Prototypes::Points(const Context& context, DType dtype) const {
  if (learned()) return parameter_->value();
  const TensorView points = context.scratch->Allocate(dtype, {count_, dimensions_});
  DispatchFloat(dtype, [&]<typename T>() {
    std::transform(fixed_.begin(), fixed_.end(), points.cpu<T>().begin(),
                   [](double value) { return static_cast<T>(value); });
  });
  return points;
}

std::vector<double> Prototypes::ToDoubles() const {
  if (!learned()) return fixed_;
  return DispatchFloat(parameter_->value().dtype(), [&]<typename T>() {
    const auto values = parameter_->value().cpu<T>();
    return std::vector<double>(values.begin(), values.end());
  });
}

void Prototypes::EndStep(const Context& context) const {
  if (!unit_length_) return;
  WorkspaceFrame frame(*context.scratch);
  const TensorView value = parameter_->value();
  const TensorView inverse_norms = context.scratch->Allocate(value.dtype(), {count_});
  ComputeDirections(context, value, value, inverse_norms);
}

}  // namespace equipoise::routing
