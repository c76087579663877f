#include "core/base/check.h"

#include <vector>

#include "gtest/gtest.h"

namespace equipoise {
namespace {

TEST(CheckTest, PassesSilentlyAndEvaluatesOnce) {
  int calls = 0;
  EQ_CHECK(++calls == 1) << "never written " << ++calls;
  EXPECT_EQ(calls, 1);
  EQ_CHECK_EQ(calls, 1);
  EQ_CHECK_LT(calls, 2) << "never written";
}

TEST(CheckTest, IsAStatementThatFitsAnIfWithoutBraces) {
  bool reached = false;
  // NOLINTBEGIN(readability-braces-around-statements): they are what is tested.
  if (reached)
    EQ_CHECK(false) << "not taken";
  else
    reached = true;
  // NOLINTEND(readability-braces-around-statements)
  EXPECT_TRUE(reached);
}

TEST(CheckDeathTest, SaysWhereWhatAndWhy) {
  const std::vector<int> rows = {1, 2, 3};
  EXPECT_DEATH(EQ_CHECK(rows.empty()) << "rows=" << rows.size(),
               "check_test.cc:[0-9]+: check failed: rows.empty\\(\\) rows=3");
}

TEST(CheckDeathTest, ComparisonsPrintBothValues) {
  const int a = 3, b = 4;
  EXPECT_DEATH(EQ_CHECK_EQ(a, b) << "and more", "\\(3 against 4\\) and more");
  EXPECT_DEATH(EQ_CHECK_NE(a, a), "3 against 3");
  EXPECT_DEATH(EQ_CHECK_LE(b, a), "4 against 3");
  EXPECT_DEATH(EQ_CHECK_LT(b, a), "4 against 3");
  EXPECT_DEATH(EQ_CHECK_GE(a, b), "3 against 4");
  EXPECT_DEATH(EQ_CHECK_GT(a, b), "3 against 4");
}

}  // namespace
}  // namespace equipoise
