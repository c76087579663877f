#include "core/nn/parameter.h"

#include <utility>

#include "core/base/check.h"
#include "core/base/rng.h"
#include "core/base/status_macros.h"
#include "core/tensor/dtype.h"

namespace equipoise {
namespace {

int64_t PartElements(const ParameterSpec& spec) {
  int64_t elements = 0;
  for (const LogicalTensor& part : spec.parts) elements += part.shape.num_elements();
  return elements;
}

int64_t RoundUp(int64_t value, int64_t multiple) {
  EQ_CHECK_GT(multiple, 0);
  return (value + multiple - 1) / multiple * multiple;
}

// Initial values of one logical tensor, drawn in double and rounded to T.
template <typename T>
std::vector<T> DrawPart(const ParameterSpec& spec, const LogicalTensor& part, uint64_t seed) {
  const auto count = static_cast<size_t>(part.shape.num_elements());
  if (spec.init != Init::kNormal) return std::vector<T>(count, spec.init == Init::kOnes ? 1 : 0);
  const Philox philox(StreamKey(seed, part.name));
  std::vector<T> values(count);
  for (size_t i = 0; i < count; ++i) {
    values[i] = static_cast<T>(spec.init_stddev * philox.Normal(i));
  }
  return values;
}

}  // namespace

Parameter* ParameterRegistry::Declare(ParameterSpec spec) {
  EQ_CHECK(!allocated_) << "declared after Allocate";
  EQ_CHECK_EQ(PartElements(spec), spec.shape.num_elements())
      << "parts of " << (spec.parts.empty() ? "a parameter without parts" : spec.parts[0].name);
  parameters_.push_back(std::make_unique<Parameter>(std::move(spec)));
  return parameters_.back().get();
}

absl::Status ParameterRegistry::Allocate(Device& device, DType dtype,
                                         const int64_t (&alignment)[kNumParameterGroups]) {
  EQ_CHECK(!allocated_) << "allocated twice";
  for (Group& group : groups_) group.num_elements = 0;  // a failed call may be repeated
  for (auto it = parameters_.rbegin(); it != parameters_.rend(); ++it) {
    Parameter& parameter = **it;
    Group& group = groups_[static_cast<size_t>(parameter.spec().group)];
    parameter.offset_ = group.num_elements;
    group.num_elements += parameter.num_elements();
  }
  for (size_t g = 0; g < kNumParameterGroups; ++g) {
    const Shape shape = {RoundUp(groups_[g].num_elements, alignment[g])};
    EQ_ASSIGN_OR_RETURN(groups_[g].values, Tensor::Create(device, dtype, shape));
    EQ_ASSIGN_OR_RETURN(groups_[g].gradients, Tensor::Create(device, dtype, shape));
  }
  for (const auto& parameter : parameters_) {
    Group& group = groups_[static_cast<size_t>(parameter->spec().group)];
    const int64_t begin = parameter->offset_;
    const int64_t end = begin + parameter->num_elements();
    const Shape& shape = parameter->spec().shape;
    parameter->value_ = group.values.view().Rows(begin, end).Reshaped(shape);
    parameter->gradient_ = group.gradients.view().Rows(begin, end).Reshaped(shape);
  }
  allocated_ = true;
  return absl::OkStatus();
}

void ParameterRegistry::Initialize(Device& device, uint64_t seed) {
  EQ_CHECK(allocated_) << "initialised before Allocate";
  for (const auto& parameter : parameters_) {
    const TensorView flat = parameter->value().Reshaped({parameter->num_elements()});
    int64_t begin = 0;
    for (const LogicalTensor& part : parameter->spec().parts) {
      const int64_t end = begin + part.shape.num_elements();
      const TensorView target = flat.Rows(begin, end);
      DispatchFloat(target.dtype(), [&]<typename T>() {
        const std::vector<T> values = DrawPart<T>(parameter->spec(), part, seed);
        device.CopyFromHost(target.raw(), values.data(), target.num_bytes());
      });
      begin = end;
    }
  }
}

TensorView ParameterRegistry::values(ParameterGroup group) {
  return groups_[static_cast<size_t>(group)].values.view();
}

TensorView ParameterRegistry::gradients(ParameterGroup group) {
  return groups_[static_cast<size_t>(group)].gradients.view();
}

int64_t ParameterRegistry::num_elements(ParameterGroup group) const {
  return groups_[static_cast<size_t>(group)].num_elements;
}

}  // namespace equipoise
