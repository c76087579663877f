#include "tests/support/test_context.h"

#include <utility>

#include "core/base/check.h"
#include "core/base/rng.h"

namespace equipoise::testing_support {
namespace {

std::unique_ptr<Workspace> MakeWorkspace(Device& device, size_t bytes) {
  auto workspace = Workspace::Create(device, bytes);
  EQ_CHECK(workspace.ok()) << workspace.status().ToString();
  return *std::move(workspace);
}

// Calls `body.template operator()<T>()` with the element type of `dtype`.
template <typename Body>
void DispatchAny(DType dtype, Body&& body) {
  switch (dtype) {
    case DType::kF32:
      return body.template operator()<float>();
    case DType::kF64:
      return body.template operator()<double>();
    case DType::kI32:
      return body.template operator()<int32_t>();
    case DType::kI64:
      return body.template operator()<int64_t>();
    case DType::kU8:
      return body.template operator()<uint8_t>();
  }
}

}  // namespace

TestContext::TestContext(size_t workspace_bytes)
    : device_(MakeCpuDevice()),
      stream_(MakeCpuStream()),
      scratch_(MakeWorkspace(*device_, workspace_bytes)),
      activations_(MakeWorkspace(*device_, workspace_bytes)),
      context_{device_.get(), stream_.get(), scratch_.get(), activations_.get()} {}

TensorView TestContext::Zeros(DType dtype, const Shape& shape) {
  auto tensor = Tensor::Create(*device_, dtype, shape);
  EQ_CHECK(tensor.ok()) << tensor.status().ToString();
  tensors_.push_back(*std::move(tensor));
  return tensors_.back().view();
}

TensorView TestContext::Make(DType dtype, const Shape& shape, std::span<const double> values) {
  const TensorView tensor = Zeros(dtype, shape);
  SetDoubles(tensor, values);
  return tensor;
}

TensorView TestContext::Normal(DType dtype, const Shape& shape, uint64_t key, double stddev) {
  const Philox philox(key);
  std::vector<double> values(static_cast<size_t>(shape.num_elements()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = stddev * philox.Normal(i);
  return Make(dtype, shape, values);
}

TensorView TestContext::Below(DType dtype, const Shape& shape, uint64_t key, uint64_t bound) {
  const Philox philox(key);
  std::vector<double> values(static_cast<size_t>(shape.num_elements()));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<double>(philox.Below(bound, i));
  }
  return Make(dtype, shape, values);
}

std::vector<double> ToDoubles(ConstTensorView tensor) {
  std::vector<double> values;
  DispatchAny(tensor.dtype(), [&]<typename T>() {
    const auto elements = tensor.cpu<T>();
    values.assign(elements.begin(), elements.end());
  });
  return values;
}

void SetDoubles(TensorView tensor, std::span<const double> values) {
  EQ_CHECK_EQ(static_cast<int64_t>(values.size()), tensor.num_elements());
  DispatchAny(tensor.dtype(), [&]<typename T>() {
    const auto elements = tensor.cpu<T>();
    for (size_t i = 0; i < values.size(); ++i) elements[i] = static_cast<T>(values[i]);
  });
}

}  // namespace equipoise::testing_support
