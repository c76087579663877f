#ifndef EQUIPOISE_TESTS_SUPPORT_TEST_CONTEXT_H_
#define EQUIPOISE_TESTS_SUPPORT_TEST_CONTEXT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/device/context.h"
#include "core/tensor/tensor.h"

namespace equipoise::testing_support {

// A CPU execution context with both workspaces, and an owner of tensors for one test. Tensors live
// as long as it does. Not thread-safe: one per rank of a thread world.
class TestContext {
 public:
  // `workspace_bytes` of address space for each of scratch and activations.
  explicit TestContext(size_t workspace_bytes = size_t{1} << 30);

  const Context& context() const { return context_; }
  Device& device() { return *device_; }

  TensorView Zeros(DType dtype, const Shape& shape);
  // `values` converted to `dtype`, in row-major order.
  TensorView Make(DType dtype, const Shape& shape, std::span<const double> values);
  // Standard normal draws times `stddev`; element i is a function of (key, i).
  TensorView Normal(DType dtype, const Shape& shape, uint64_t key, double stddev = 1.0);
  // Integers in [0, bound) as `dtype`, a function of (key, i).
  TensorView Below(DType dtype, const Shape& shape, uint64_t key, uint64_t bound);

 private:
  std::unique_ptr<Device> device_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Workspace> scratch_;
  std::unique_ptr<Workspace> activations_;
  Context context_;
  std::vector<Tensor> tensors_;
};

// Elements as doubles, whatever the element type.
std::vector<double> ToDoubles(ConstTensorView tensor);
// Overwrites all elements, converting. REQUIRES: values.size() == tensor.num_elements().
void SetDoubles(TensorView tensor, std::span<const double> values);

}  // namespace equipoise::testing_support

#endif  // EQUIPOISE_TESTS_SUPPORT_TEST_CONTEXT_H_
