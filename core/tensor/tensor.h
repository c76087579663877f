#ifndef EQUIPOISE_CORE_TENSOR_TENSOR_H_
#define EQUIPOISE_CORE_TENSOR_TENSOR_H_

#include "absl/status/statusor.h"
#include "core/device/device.h"
#include "core/tensor/tensor_view.h"

namespace equipoise {

// An array that owns its memory on a device. Movable, not copyable; the device must outlive it.
class Tensor {
 public:
  Tensor() = default;
  // All elements zero. ResourceExhausted when the device has no memory left.
  static absl::StatusOr<Tensor> Create(Device& device, DType dtype, const Shape& shape);
  ~Tensor();
  Tensor(Tensor&& other) noexcept;
  Tensor& operator=(Tensor&& other) noexcept;
  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;

  TensorView view() { return view_; }
  ConstTensorView view() const { return view_; }

 private:
  Tensor(Device* device, TensorView view) : device_(device), view_(view) {}
  void Reset();

  Device* device_ = nullptr;
  TensorView view_;
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_TENSOR_TENSOR_H_
