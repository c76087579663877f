#ifndef EQUIPOISE_CORE_TENSOR_DTYPE_H_
#define EQUIPOISE_CORE_TENSOR_DTYPE_H_

#include <cstddef>
#include <cstdint>
#include <ostream>

#include "core/base/check.h"

namespace equipoise {

// Element types. Activations and parameters are kF32 in training; kF64 runs the very same code in
// double precision, which is how gradients are checked. Token and expert ids are kI32, counts and
// offsets kI64, statistics kF64, flags kU8.
enum class DType : uint8_t { kF32, kF64, kI32, kI64, kU8 };

constexpr size_t SizeOf(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kF64:
    case DType::kI64:
      return 8;
    case DType::kU8:
      return 1;
  }
  return 0;
}

constexpr const char* Name(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "F32";
    case DType::kF64:
      return "F64";
    case DType::kI32:
      return "I32";
    case DType::kI64:
      return "I64";
    case DType::kU8:
      return "U8";
  }
  return "?";
}

inline std::ostream& operator<<(std::ostream& out, DType dtype) { return out << Name(dtype); }

template <typename T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::kF32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::kF64;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::kI32;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::kI64;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::kU8;
};

// Calls `body.template operator()<T>()` with T = float or double.
//   DispatchFloat(x.dtype(), [&]<typename T>() { Kernel<T>(x, y); });
template <typename Body>
decltype(auto) DispatchFloat(DType dtype, Body&& body) {
  EQ_CHECK(dtype == DType::kF32 || dtype == DType::kF64) << "not a float type: " << dtype;
  if (dtype == DType::kF32) return body.template operator()<float>();
  return body.template operator()<double>();
}

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_TENSOR_DTYPE_H_
