#include "core/telemetry/timers.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace equipoise {
namespace {

class PhaseTimersTest : public ::testing::Test {
 protected:
  void Pass(int64_t seconds) { now_ += seconds * 1'000'000'000; }

  int64_t now_ = 12345;
  PhaseTimers timers_{[this] { return now_; }};
};

TEST_F(PhaseTimersTest, InnerTimeIsNotCountedTwice) {
  Pass(100);
  timers_.StartStep();
  Pass(1);
  {
    PhaseTimers::Scope experts(timers_, Phase::kExperts);
    Pass(2);
    {
      PhaseTimers::Scope dispatch(timers_, Phase::kDispatch);
      Pass(4);
    }
    Pass(8);
  }
  {
    PhaseTimers::Scope experts(timers_, Phase::kExperts);
    Pass(16);
  }
  Pass(32);
  const PhaseSeconds time = timers_.FinishStep();
  EXPECT_DOUBLE_EQ(time[Phase::kExperts], 26.0);
  EXPECT_DOUBLE_EQ(time[Phase::kDispatch], 4.0);
  EXPECT_DOUBLE_EQ(time[Phase::kOther], 33.0);
  EXPECT_DOUBLE_EQ(time[Phase::kAttention], 0.0);
  EXPECT_DOUBLE_EQ(time.total(), 63.0);
}

TEST_F(PhaseTimersTest, StepsFollowOneAnother) {
  timers_.StartStep();
  PhaseTimers::Scope data(timers_, Phase::kData);
  Pass(3);
  EXPECT_DOUBLE_EQ(timers_.FinishStep()[Phase::kData], 3.0);
  Pass(5);
  EXPECT_DOUBLE_EQ(timers_.FinishStep()[Phase::kData], 5.0);
}

TEST(PhaseTest, NamesAreDistinct) {
  std::set<std::string> names;
  for (int i = 0; i < kNumPhases; ++i) names.insert(std::string(Name(static_cast<Phase>(i))));
  EXPECT_EQ(names.size(), static_cast<size_t>(kNumPhases));
  EXPECT_EQ(Name(Phase::kOther), "other");
}

TEST(SteadyPhaseTimersTest, TheRealClockRuns) {
  PhaseTimers timers;
  timers.StartStep();
  double total = 0.0;
  while (total <= 0.0) total = timers.FinishStep().total();
  EXPECT_LT(total, 60.0);
}

}  // namespace
}  // namespace equipoise
