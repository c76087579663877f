#include "core/tensor/tensor.h"

#include <utility>

#include "core/base/status_macros.h"

namespace equipoise {

absl::StatusOr<Tensor> Tensor::Create(Device& device, DType dtype, const Shape& shape) {
  const size_t bytes = static_cast<size_t>(shape.num_elements()) * SizeOf(dtype);
  EQ_ASSIGN_OR_RETURN(void* data, device.Allocate(bytes));
  device.Zero(data, bytes);
  return Tensor(&device, TensorView(data, dtype, shape, device.kind()));
}

Tensor::~Tensor() { Reset(); }

Tensor::Tensor(Tensor&& other) noexcept
    : device_(std::exchange(other.device_, nullptr)),
      view_(std::exchange(other.view_, TensorView())) {}

Tensor& Tensor::operator=(Tensor&& other) noexcept {
  if (this != &other) {
    Reset();
    device_ = std::exchange(other.device_, nullptr);
    view_ = std::exchange(other.view_, TensorView());
  }
  return *this;
}

void Tensor::Reset() {
  if (device_ != nullptr) device_->Free(view_.raw(), view_.num_bytes());
  device_ = nullptr;
}

}  // namespace equipoise
