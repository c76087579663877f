#include "core/tensor/dtype.h"

#include <sstream>
#include <string>

#include "gtest/gtest.h"

namespace equipoise {
namespace {

template <typename T>
void CheckType(const std::string& name) {
  EXPECT_EQ(SizeOf(DTypeOf<T>::value), sizeof(T));
  EXPECT_EQ(Name(DTypeOf<T>::value), name);
  std::ostringstream out;
  out << DTypeOf<T>::value;
  EXPECT_EQ(out.str(), name);
}

TEST(DTypeTest, SizesAndNames) {
  CheckType<float>("F32");
  CheckType<double>("F64");
  CheckType<int32_t>("I32");
  CheckType<int64_t>("I64");
  CheckType<uint8_t>("U8");
}

TEST(DTypeTest, DispatchesToTheFloatTypes) {
  const auto size = []<typename T>() { return sizeof(T); };
  EXPECT_EQ(DispatchFloat(DType::kF32, size), 4u);
  EXPECT_EQ(DispatchFloat(DType::kF64, size), 8u);
  EXPECT_DEATH(DispatchFloat(DType::kI32, size), "not a float type: I32");
}

}  // namespace
}  // namespace equipoise
