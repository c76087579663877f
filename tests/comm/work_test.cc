#include "comm/work.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "comm/wait_clock.h"
#include "gtest/gtest.h"

namespace equipoise::comm {
namespace {

// Complete after a number of tests; says how it was treated.
class ScriptedState final : public Work::State {
 public:
  struct Log {
    int tests = 0;
    int waits = 0;
    int alive = 0;
  };
  ScriptedState(Log& log, int tests_until_done, absl::Status outcome)
      : log_(log), left_(tests_until_done), outcome_(std::move(outcome)) {
    ++log_.alive;
  }
  ~ScriptedState() override { --log_.alive; }
  bool Test() override {
    ++log_.tests;
    return --left_ < 0;
  }
  absl::Status status() const override { return outcome_; }
  absl::Status Wait(const WaitOptions&) override {
    ++log_.waits;
    left_ = 0;
    return outcome_;
  }

 private:
  Log& log_;
  int left_;
  absl::Status outcome_;
};

Work MakeWork(ScriptedState::Log& log, int tests, absl::Status outcome = absl::OkStatus()) {
  return Work(std::make_unique<ScriptedState>(log, tests, std::move(outcome)));
}

TEST(Work, DefaultIsComplete) {
  Work work;
  EXPECT_TRUE(work.Test());
  EXPECT_TRUE(work.Wait().ok());
}

TEST(Work, TestKeepsTheOutcome) {
  ScriptedState::Log log;
  Work work = MakeWork(log, 2, absl::DataLossError("gone"));
  EXPECT_FALSE(work.Test());
  EXPECT_FALSE(work.Test());
  EXPECT_TRUE(work.Test());
  EXPECT_EQ(log.alive, 0) << "a complete state holds no resources";
  EXPECT_EQ(work.Wait(), absl::DataLossError("gone"));
  EXPECT_EQ(work.Wait(), absl::DataLossError("gone"));
  EXPECT_EQ(log.waits, 0);
}

TEST(Work, DestroyedBeforeCompletionWaitsAndReports) {
  ScriptedState::Log log;
  ::testing::internal::CaptureStderr();
  { const Work work = MakeWork(log, 5, absl::DataLossError("gone")); }
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(log.waits, 1);
  EXPECT_EQ(log.alive, 0);
  EXPECT_TRUE(absl::StrContains(text, "destroyed before it was complete")) << text;
  EXPECT_TRUE(absl::StrContains(text, "gone")) << text;
}

TEST(Work, CompleteButUnawaitedIsSilentUnlessItFailed) {
  ScriptedState::Log log;
  ::testing::internal::CaptureStderr();
  { const Work work = MakeWork(log, 0); }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  ::testing::internal::CaptureStderr();
  { const Work work = MakeWork(log, 0, absl::DataLossError("gone")); }
  EXPECT_TRUE(absl::StrContains(::testing::internal::GetCapturedStderr(), "gone"));
}

TEST(Work, AssignmentFinishesWhatItReplaces) {
  ScriptedState::Log first;
  ScriptedState::Log second;
  Work work = MakeWork(first, 1);
  ::testing::internal::CaptureStderr();
  work = MakeWork(second, 0);
  ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(first.waits, 1);
  EXPECT_EQ(first.alive, 0);
  Work moved = std::move(work);
  EXPECT_TRUE(moved.Test());
  EXPECT_EQ(second.alive, 0);
}

TEST(WaitOptions, NamesLeaveOutWhatIsNotSet) {
  EXPECT_EQ(WaitOptions{.name = "dispatch"}.Describe(), "dispatch");
  const WaitPlace step = {.step = 120, .micro_batch = 2};
  EXPECT_EQ((WaitOptions{.name = "dispatch", .place = step.OfLayer(3)}).Describe(),
            "dispatch of layer 3, step 120, micro-batch 2");
  EXPECT_EQ((WaitOptions{.name = "gradients", .place = {.step = 7}}).Describe(),
            "gradients, step 7");
  const WaitPlace validation = {.step = 0, .validation = true};
  EXPECT_EQ((WaitOptions{.name = "combine", .place = validation.OfLayer(0)}).Describe(),
            "combine of layer 0, validation after step 0");
}

TEST(WaitClock, TakesTheWorldsPatienceWhereTheWaitHasNone) {
  const OpLabel label = {"Barrier", 0, "world", 0, 2, {.stop_after = absl::Milliseconds(5)}};
  const WaitOptions patient = {.stop_after = absl::Hours(1)};
  const WaitOptions plain;
  WaitClock own(patient, label);
  WaitClock clock(plain, label);
  absl::Status status;
  while (status.ok()) status = clock.Check([] { return DescribeMissingRanks({1}, {}); });
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_TRUE(own.Check([] { return std::string(); }).ok());
}

TEST(WaitClock, WarnsOnceThenStops) {
  const WaitOptions options = {.name = "dispatch of layer 3",
                               .warn_after = absl::Milliseconds(1),
                               .stop_after = absl::Milliseconds(20)};
  const OpLabel label = {"AllToAllRows", 17, "expert", 1, 4};
  WaitClock clock(options, label);
  ::testing::internal::CaptureStderr();
  absl::Status status;
  while (status.ok()) status = clock.Check([] { return DescribeMissingRanks({0, 3}, {2}); });
  const std::string warning = ::testing::internal::GetCapturedStderr();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status));
  const std::string what =
      "dispatch of layer 3: AllToAllRows #17 on 'expert', rank 1 of 4, has waited ";
  const std::string who =
      "; ranks that have not entered it: 0, 3; ranks of other nodes, not known from here: 2";
  for (const std::string& text : {std::string(status.message()), warning}) {
    EXPECT_TRUE(absl::StrContains(text, what)) << text;
    EXPECT_TRUE(absl::StrContains(text, who)) << text;
  }
  EXPECT_EQ(std::count(warning.begin(), warning.end(), '\n'), 1) << warning;
}

}  // namespace
}  // namespace equipoise::comm
