#include "core/telemetry/step_gaps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace equipoise {
namespace {

TEST(StepGaps, AWholeFileLacksNothing) {
  StepGaps gaps;
  for (const int64_t step : {7, 8, 8, 9, 10}) gaps.See(step);
  gaps.End(0);
  EXPECT_TRUE(gaps.empty());
  EXPECT_EQ(gaps.num_missing(), 0);
  EXPECT_EQ(gaps.last(), 10);
  EXPECT_EQ(gaps.Describe(), "");
}

TEST(StepGaps, CountsStepsAndDamageOnce) {
  StepGaps gaps;
  gaps.Damage();  // in front of all: how many there were is not known
  gaps.See(5);
  gaps.Damage();
  gaps.See(7);  // 6 was the damaged one
  gaps.See(17);
  gaps.Damage();
  gaps.Damage();
  gaps.See(18);  // no step is missing, but two records made no sense
  gaps.End(3);
  EXPECT_EQ(gaps.num_missing(), 1 + 1 + 9 + 2 + 3);
  ASSERT_EQ(gaps.gaps().size(), 5U);
  EXPECT_EQ(gaps.gaps()[0].after, std::nullopt);
  EXPECT_EQ(gaps.gaps()[4].after, 18);
  EXPECT_EQ(gaps.Describe(),
            "1 record is missing at the beginning; 1 record is missing after step 5; 9 records are "
            "missing after step 7; and 5 more in 2 places");
}

TEST(StepGaps, AnEmptyFileLacksWhatWasExpected) {
  StepGaps gaps;
  gaps.End(12);
  EXPECT_EQ(gaps.Describe(), "12 records are missing at the beginning");
  StepGaps from;
  from.StartAt(9);
  from.See(11);
  EXPECT_EQ(from.Describe(), "2 records are missing after step 8");
}

}  // namespace
}  // namespace equipoise
