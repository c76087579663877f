#include "core/optim/schedule.h"

#include <limits>
#include <string>

#include "gtest/gtest.h"

namespace equipoise {
namespace {

ScheduleOptions Make(ScheduleKind kind) {
  ScheduleOptions options;
  options.kind = kind;
  options.peak = 2.0;
  options.final_ratio = 0.1;
  options.warmup_steps = 10;
  options.total_steps = 110;
  options.decay_steps = kind == ScheduleKind::kWsd ? 20 : 0;
  return options;
}

TEST(ScheduleTest, WarmUpIsLinearAndReachesThePeak) {
  for (const auto kind : {ScheduleKind::kConstant, ScheduleKind::kCosine, ScheduleKind::kWsd}) {
    const ScheduleOptions options = Make(kind);
    ASSERT_TRUE(Validate(options).ok()) << Validate(options);
    EXPECT_DOUBLE_EQ(LearningRate(options, 1), 0.2);
    EXPECT_DOUBLE_EQ(LearningRate(options, 7), 1.4);
    EXPECT_EQ(LearningRate(options, 10), 2.0);
  }
}

TEST(ScheduleTest, ConstantStays) {
  const ScheduleOptions options = Make(ScheduleKind::kConstant);
  EXPECT_EQ(LearningRate(options, 11), 2.0);
  EXPECT_EQ(LearningRate(options, 110), 2.0);
  EXPECT_EQ(LearningRate(options, 1'000'000), 2.0);
}

TEST(ScheduleTest, CosineFallsSymmetricallyToTheFloor) {
  const ScheduleOptions options = Make(ScheduleKind::kCosine);
  EXPECT_DOUBLE_EQ(LearningRate(options, 60), 1.1);  // half-way: the mean of peak and floor
  EXPECT_DOUBLE_EQ(LearningRate(options, 35) + LearningRate(options, 85), 2.2);
  EXPECT_DOUBLE_EQ(LearningRate(options, 110), 0.2);
  EXPECT_DOUBLE_EQ(LearningRate(options, 111), 0.2);
  for (int64_t step = 11; step <= 110; ++step) {
    EXPECT_LT(LearningRate(options, step), LearningRate(options, step - 1)) << step;
  }
}

TEST(ScheduleTest, WsdIsStableAndThenFallsLinearly) {
  const ScheduleOptions options = Make(ScheduleKind::kWsd);
  EXPECT_EQ(LearningRate(options, 50), 2.0);
  EXPECT_EQ(LearningRate(options, 90), 2.0);
  EXPECT_DOUBLE_EQ(LearningRate(options, 100), 1.1);
  EXPECT_DOUBLE_EQ(LearningRate(options, 105), 0.65);
  EXPECT_DOUBLE_EQ(LearningRate(options, 110), 0.2);
  EXPECT_DOUBLE_EQ(LearningRate(options, 500), 0.2);
}

TEST(ScheduleTest, WithoutWarmUpOrStablePhase) {
  ScheduleOptions options = Make(ScheduleKind::kWsd);
  options.warmup_steps = 0;
  options.total_steps = options.decay_steps = 1;
  ASSERT_TRUE(Validate(options).ok());
  EXPECT_DOUBLE_EQ(LearningRate(options, 1), 0.2);
  options.decay_steps = 0;
  EXPECT_DOUBLE_EQ(LearningRate(options, 1), 0.2);
  options = Make(ScheduleKind::kCosine);
  options.warmup_steps = options.total_steps = 10;
  ASSERT_TRUE(Validate(options).ok());
  EXPECT_DOUBLE_EQ(LearningRate(options, 9), 1.8);
}

TEST(ScheduleTest, ValidateNamesTheField) {
  const auto expect_refused = [](const char* field, auto change) {
    ScheduleOptions options = Make(ScheduleKind::kWsd);
    change(options);
    const absl::Status status = Validate(options);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << field;
    EXPECT_NE(std::string(status.message()).find(field), std::string::npos) << status;
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  expect_refused("peak", [](ScheduleOptions& o) { o.peak = -1.0; });
  expect_refused("peak", [&](ScheduleOptions& o) { o.peak = nan; });
  expect_refused("final_ratio", [](ScheduleOptions& o) { o.final_ratio = 1.5; });
  expect_refused("final_ratio", [&](ScheduleOptions& o) { o.final_ratio = nan; });
  expect_refused("warmup_steps", [](ScheduleOptions& o) { o.warmup_steps = -1; });
  expect_refused("decay_steps", [](ScheduleOptions& o) { o.decay_steps = -1; });
  expect_refused("total_steps", [](ScheduleOptions& o) { o.total_steps = 0; });
  expect_refused("total_steps", [](ScheduleOptions& o) { o.warmup_steps = 111; });
  expect_refused("decay_steps", [](ScheduleOptions& o) { o.decay_steps = 101; });
}

TEST(ScheduleDeathTest, StepsCountFromOne) {
  EXPECT_DEATH(LearningRate(Make(ScheduleKind::kCosine), 0), "0 against 1");
}

}  // namespace
}  // namespace equipoise
