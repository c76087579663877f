#ifndef EQUIPOISE_TESTS_CONFORMANCE_EXPECT_H_
#define EQUIPOISE_TESTS_CONFORMANCE_EXPECT_H_

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/tensor/tensor_view.h"
#include "tests/support/test_context.h"

namespace equipoise::conformance {

inline constexpr std::array<DType, 5> kAllTypes = {DType::kF32, DType::kF64, DType::kI32,
                                                   DType::kI64, DType::kU8};

// Nothing, one, a prime, and one past the number of bytes that backends treat as a block.
inline constexpr std::array<int64_t, 4> kCounts = {0, 1, 1021, 16385};

// What `rank` puts at `index`: small enough that any sum over ranks is exact in every type.
inline double Value(int64_t rank, int64_t index) {
  return static_cast<double>((rank * 7 + index) % 31);
}

// A tensor whose element i is formula(i).
inline TensorView MakeBy(testing_support::TestContext& memory, DType dtype, const Shape& shape,
                         const std::function<double(int64_t)>& formula) {
  std::vector<double> values;
  for (int64_t i = 0; i < shape.num_elements(); ++i) values.push_back(formula(i));
  return memory.Make(dtype, shape, values);
}

// Internal, naming the first element of `actual` that is not formula(i).
inline absl::Status ExpectBy(const std::string& what, ConstTensorView actual,
                             const std::function<double(int64_t)>& formula) {
  const std::vector<double> values = testing_support::ToDoubles(actual);
  for (size_t i = 0; i < values.size(); ++i) {
    const double expected = formula(static_cast<int64_t>(i));
    if (values[i] == expected) continue;
    return absl::InternalError(absl::StrCat(what, " ", Name(actual.dtype()), " ",
                                            actual.shape().ToString(), ": element ", i, " is ",
                                            values[i], ", expected ", expected));
  }
  return absl::OkStatus();
}

inline absl::Status ExpectTrue(const std::string& what, bool condition) {
  return condition ? absl::OkStatus() : absl::InternalError(absl::StrCat("not true: ", what));
}

}  // namespace equipoise::conformance

#endif  // EQUIPOISE_TESTS_CONFORMANCE_EXPECT_H_
