#include "core/tensor/tensor_view.h"

#include <array>
#include <numeric>

#include "gtest/gtest.h"

namespace equipoise {
namespace {

class TensorViewTest : public ::testing::Test {
 protected:
  TensorViewTest() { std::iota(values_.begin(), values_.end(), 0.0f); }
  std::array<float, 12> values_;
  const TensorView view_{values_.data(), DType::kF32, {4, 3}, DeviceKind::kCpu};
};

TEST_F(TensorViewTest, DescribesWhatItSees) {
  EXPECT_EQ(view_.dim(0), 4);
  EXPECT_EQ(view_.dim(1), 3);
  EXPECT_EQ(view_.num_elements(), 12);
  EXPECT_EQ(view_.num_bytes(), 48u);
  EXPECT_FALSE(view_.absent());
  EXPECT_TRUE(TensorView().absent());
  EXPECT_TRUE(ConstTensorView().absent());
}

TEST_F(TensorViewTest, RowsAndReshapedShareTheMemory) {
  const TensorView rows = view_.Rows(1, 3);
  EXPECT_EQ(rows.shape(), (Shape{2, 3}));
  EXPECT_EQ(rows.cpu<float>()[0], 3.0f);
  rows.Reshaped({6}).cpu<float>()[5] = 99.0f;
  EXPECT_EQ(values_[8], 99.0f);
  EXPECT_EQ(view_.Rows(4, 4).num_elements(), 0);
  const ConstTensorView reader = view_;
  EXPECT_EQ(reader.Rows(2, 3).cpu<float>()[2], 99.0f);
  EXPECT_EQ(reader.Reshaped({3, 2, 2}).dim(2), 2);
}

TEST_F(TensorViewTest, MisuseDies) {
  EXPECT_DEATH(view_.Rows(2, 5), "rows \\[2, 5\\) of \\[4, 3\\]");
  EXPECT_DEATH(view_.Rows(3, 2), "rows \\[3, 2\\)");
  EXPECT_DEATH(view_.Reshaped({13}), "13 against 12");
  EXPECT_DEATH(view_.cpu<double>(), "F32 against F64");
  const TensorView elsewhere(values_.data(), DType::kF32, {4, 3}, DeviceKind::kCuda);
  EXPECT_DEATH(elsewhere.cpu<float>(), "memory of another device");
}

}  // namespace
}  // namespace equipoise
