#include "core/base/status_macros.h"

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"

namespace equipoise {
namespace {

absl::StatusOr<std::unique_ptr<int>> Box(int value) {
  if (value < 0) return absl::InvalidArgumentError("negative");
  return std::make_unique<int>(value);
}

absl::StatusOr<int> Sum(int a, int b) {
  EQ_ASSIGN_OR_RETURN(const std::unique_ptr<int> first, Box(a));
  EQ_ASSIGN_OR_RETURN(std::unique_ptr<int> second, Box(b));
  return *first + *std::move(second);
}

absl::Status CheckTwice(const absl::Status& first, const absl::Status& second, int* passed) {
  EQ_RETURN_IF_ERROR(first);
  ++*passed;
  EQ_RETURN_IF_ERROR(second);
  ++*passed;
  return absl::OkStatus();
}

TEST(StatusMacrosTest, AssignsTheValueOrReturnsTheStatus) {
  EXPECT_EQ(Sum(2, 3).value(), 5);
  EXPECT_EQ(Sum(-1, 3).status(), absl::InvalidArgumentError("negative"));
  EXPECT_EQ(Sum(1, -3).status(), absl::InvalidArgumentError("negative"));
}

TEST(StatusMacrosTest, ReturnsTheFirstError) {
  int passed = 0;
  EXPECT_TRUE(CheckTwice(absl::OkStatus(), absl::OkStatus(), &passed).ok());
  EXPECT_EQ(passed, 2);
  passed = 0;
  EXPECT_EQ(CheckTwice(absl::OkStatus(), absl::NotFoundError("x"), &passed),
            absl::NotFoundError("x"));
  EXPECT_EQ(passed, 1);
}

}  // namespace
}  // namespace equipoise
