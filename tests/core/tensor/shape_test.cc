#include "core/tensor/shape.h"

#include <sstream>

#include "gtest/gtest.h"

namespace equipoise {
namespace {

TEST(ShapeTest, CountsElements) {
  EXPECT_EQ(Shape().num_elements(), 1);
  EXPECT_EQ(Shape{7}.num_elements(), 7);
  EXPECT_EQ((Shape{2, 3, 5, 7}).num_elements(), 210);
  EXPECT_EQ((Shape{2, 0, 5}).num_elements(), 0);
  EXPECT_EQ((Shape{2, 3, 5}).row_elements(), 15);
  EXPECT_EQ(Shape{0}.row_elements(), 1);
}

TEST(ShapeTest, Compares) {
  EXPECT_EQ((Shape{2, 3}), (Shape{2, 3}));
  EXPECT_NE((Shape{2, 3}), (Shape{3, 2}));
  EXPECT_NE((Shape{2}), (Shape{2, 0}));
  EXPECT_NE(Shape(), Shape{0});
}

TEST(ShapeTest, WithRows) {
  EXPECT_EQ((Shape{2, 3}).WithRows(9), (Shape{9, 3}));
  EXPECT_EQ((Shape{2, 3}).WithRows(0), (Shape{0, 3}));
}

TEST(ShapeTest, Prints) {
  std::ostringstream out;
  out << Shape{2, 3} << Shape();
  EXPECT_EQ(out.str(), "[2, 3][]");
}

TEST(ShapeDeathTest, MisuseDies) {
  EXPECT_DEATH((Shape{1, -1}), "-1 against 0");
  EXPECT_DEATH((Shape{1, 1, 1, 1, 1}), "5 against 4");
  EXPECT_DEATH((Shape{1, 2})[2], "axis 2 of rank 2");
  EXPECT_DEATH((Shape{1, 2})[-1], "axis -1 of rank 2");
  EXPECT_DEATH(Shape().row_elements(), "check failed");
  EXPECT_DEATH(Shape().WithRows(1), "check failed");
}

}  // namespace
}  // namespace equipoise
