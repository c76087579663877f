#ifndef EQUIPOISE_CORE_TENSOR_TENSOR_VIEW_H_
#define EQUIPOISE_CORE_TENSOR_TENSOR_VIEW_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/base/check.h"
#include "core/device/device.h"
#include "core/tensor/dtype.h"
#include "core/tensor/shape.h"

namespace equipoise {

// A non-owning, contiguous, row-major array in a device's memory. Cheap to copy; the memory must
// outlive it. Host memory is never a tensor view: it is a std::span.
//
// ConstTensorView reads, TensorView writes; a TensorView converts to a ConstTensorView.
class ConstTensorView {
 public:
  ConstTensorView() = default;
  ConstTensorView(const void* data, DType dtype, const Shape& shape, DeviceKind device)
      : data_(data), dtype_(dtype), device_(device), shape_(shape) {}

  DType dtype() const { return dtype_; }
  DeviceKind device() const { return device_; }
  const Shape& shape() const { return shape_; }
  // Extent of `axis`.
  int64_t dim(int axis) const { return shape_[axis]; }
  int64_t num_elements() const { return shape_.num_elements(); }
  size_t num_bytes() const { return static_cast<size_t>(num_elements()) * SizeOf(dtype_); }
  // True of a default-constructed view: "this optional tensor is absent".
  bool absent() const { return data_ == nullptr && shape_.rank() == 0; }
  // For kernels and transports of the view's own device only.
  const void* raw() const { return data_; }

  // Rows [begin, end) of the first axis.
  ConstTensorView Rows(int64_t begin, int64_t end) const {
    return {RowAddress(begin, end), dtype_, shape_.WithRows(end - begin), device_};
  }
  // The same elements with another shape.
  ConstTensorView Reshaped(const Shape& shape) const {
    EQ_CHECK_EQ(shape.num_elements(), num_elements());
    return {data_, dtype_, shape, device_};
  }
  // Elements as a span, on the CPU only. REQUIRES: T is the element type, device() is kCpu.
  template <typename T>
  std::span<const T> cpu() const {
    CheckCpu(DTypeOf<T>::value);
    return {static_cast<const T*>(data_), static_cast<size_t>(num_elements())};
  }

 protected:
  const std::byte* RowAddress(int64_t begin, int64_t end) const {
    EQ_CHECK(begin >= 0 && begin <= end && end <= shape_[0])
        << "rows [" << begin << ", " << end << ") of " << shape_;
    return static_cast<const std::byte*>(data_) +
           static_cast<size_t>(begin * shape_.row_elements()) * SizeOf(dtype_);
  }
  void CheckCpu(DType requested) const {
    EQ_CHECK(device_ == DeviceKind::kCpu) << "a CPU kernel was given memory of another device";
    EQ_CHECK_EQ(dtype_, requested);
  }

  const void* data_ = nullptr;
  DType dtype_ = DType::kF32;
  DeviceKind device_ = DeviceKind::kCpu;
  Shape shape_;
};

class TensorView : public ConstTensorView {
 public:
  TensorView() = default;
  TensorView(void* data, DType dtype, const Shape& shape, DeviceKind device)
      : ConstTensorView(data, dtype, shape, device) {}

  void* raw() const { return const_cast<void*>(data_); }
  TensorView Rows(int64_t begin, int64_t end) const {
    return {const_cast<std::byte*>(RowAddress(begin, end)), dtype_, shape_.WithRows(end - begin),
            device_};
  }
  TensorView Reshaped(const Shape& shape) const {
    EQ_CHECK_EQ(shape.num_elements(), num_elements());
    return {raw(), dtype_, shape, device_};
  }
  template <typename T>
  std::span<T> cpu() const {
    CheckCpu(DTypeOf<T>::value);
    return {static_cast<T*>(raw()), static_cast<size_t>(num_elements())};
  }
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_TENSOR_TENSOR_VIEW_H_
