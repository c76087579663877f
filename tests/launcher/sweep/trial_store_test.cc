// A sweep's directory, also when something half-written or foreign is in it.

#include "launcher/sweep/trial_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "core/io/atomic_file.h"
#include "core/io/in_memory_file_system.h"
#include "launcher/sweep/status_table.h"

namespace equipoise::launcher {
namespace {

using testing::HasSubstr;

class TrialStoreTest : public testing::Test {
 protected:
  TrialStoreTest() {
    spec_.name = "toy";
    spec_.path = "toy.textproto";
    spec_.axes = {{"router", {}, false}, {"seed", {}, true}};
    trials_ = {{"000000000000000a", {"top_k", "1"}, "steps: 5\n", 5},
               {"000000000000000b", {"lpr", "1"}, "steps: 6\n", 6}};
    EXPECT_TRUE(store_.Create().ok());
    EXPECT_TRUE(store_.WritePlan(spec_, trials_).ok());
  }

  void Write(const std::string& path, const std::string& text) {
    EXPECT_TRUE(files_.CreateDirectories(DirectoryOf(path)).ok());
    EXPECT_TRUE(WriteFileAtomically(files_, path, text).ok());
  }
  TrialStatus StatusOf(size_t i) { return (*store_.ReadStatus(*store_.ReadPlan()))[trials_[i].id]; }

  InMemoryFileSystem files_;
  TrialStore store_{files_, "sweep"};
  SweepSpec spec_;
  std::vector<Trial> trials_;
};

TEST_F(TrialStoreTest, ThePlanComesBack) {
  const auto plan = store_.ReadPlan();
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->name, "toy");
  ASSERT_EQ(plan->trials.size(), 2u);
  EXPECT_EQ(plan->trials[1].id, trials_[1].id);
  EXPECT_EQ(plan->trials[1].steps, 6);
  EXPECT_TRUE(plan->axes[1].is_seed);
  EXPECT_EQ(plan->Describe(plan->trials[1]), "router=lpr seed=1");
}

TEST_F(TrialStoreTest, TheLastEventCountsAndTheRunDirectoryIsRight) {
  EXPECT_EQ(StatusOf(0).state, TrialState::kWaiting);
  ASSERT_TRUE(store_.Append({trials_[0].id, TrialState::kFailed, 1, 0, "exit code 1", 2.0}).ok());
  ASSERT_TRUE(store_.Append({trials_[0].id, TrialState::kRunning, 2, getpid(), "", 0.0}).ok());
  EXPECT_EQ(StatusOf(0).state, TrialState::kRunning);
  EXPECT_EQ(StatusOf(0).attempts, 2);
  // The trial finished, and the sweep was killed before it could note it.
  Write("sweep/trials/000000000000000a/STATUS.json", R"({"state":"finished","step":5})");
  EXPECT_EQ(StatusOf(0).state, TrialState::kFinished);
  EXPECT_EQ(StatusOf(0).step, 5);
  // Somebody took the run directory away: it has to run again.
  ASSERT_TRUE(store_.Append({trials_[1].id, TrialState::kFinished, 1, 0, "", 2.0}).ok());
  EXPECT_EQ(StatusOf(1).state, TrialState::kWaiting);
}

TEST_F(TrialStoreTest, AProcessThatIsGoneWasInterrupted) {
  constexpr int64_t kNoProcess = int64_t{1} << 30;  // above what Linux gives
  ASSERT_TRUE(store_.Append({trials_[0].id, TrialState::kRunning, 1, kNoProcess, "", 0.0}).ok());
  EXPECT_EQ(StatusOf(0).state, TrialState::kInterrupted);
  EXPECT_EQ(StatusOf(0).reason, "its process is gone");
}

TEST_F(TrialStoreTest, HalfALineIsPassedOver) {
  ASSERT_TRUE(store_.Append({trials_[0].id, TrialState::kFailed, 3, 0, "why", 0.0}).ok());
  const auto file = files_.OpenAppend("sweep/trials.jsonl");
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->Append("{\"id\":\"000000000000000a\",\"sta").ok());
  ASSERT_TRUE((*file)->Close().ok());
  EXPECT_EQ(StatusOf(0).reason, "why");
  ASSERT_TRUE(store_.Append({trials_[0].id, TrialState::kStopped, 4, 0, "poor", 0.0}).ok());
  EXPECT_EQ(StatusOf(0).state, TrialState::kStopped);
  EXPECT_EQ(StatusOf(0).attempts, 4);
}

TEST_F(TrialStoreTest, HalfAStatusIsNoStatus) {
  Write("sweep/trials/000000000000000a/STATUS.json", R"({"state":"fini)");
  EXPECT_EQ(StatusOf(0).state, TrialState::kWaiting);
}

TEST_F(TrialStoreTest, AStatusFromBeforeTheLastStartDoesNotHideHowThatEnded) {
  const auto write = [&](const char* year, int step) {
    Write("sweep/trials/000000000000000a/STATUS.json",
          absl::StrCat(R"({"state":"finished","reason":"time limit","step":)", step, R"(,"time":")",
                       year, R"(-01-01T00:00:00Z"})"));
  };
  write("2020", 3);
  EXPECT_EQ(StatusOf(0).state, TrialState::kFinished);  // nothing was started since
  ASSERT_TRUE(store_.Append({trials_[0].id, TrialState::kRunning, 2, 1, "", 0.0}).ok());
  EXPECT_EQ(StatusOf(0).state, TrialState::kRunning);
  ASSERT_TRUE(store_.Append({trials_[0].id, TrialState::kFailed, 2, 0, "data", 0.0}).ok());
  EXPECT_EQ(StatusOf(0).state, TrialState::kFailed);
  EXPECT_EQ(StatusOf(0).step, 3);
  write("2999", 3);  // the start said so itself
  EXPECT_EQ(StatusOf(0).state, TrialState::kFinished);
  write("2020", 5);  // all steps are done, whatever came later
  EXPECT_EQ(StatusOf(0).state, TrialState::kFinished);
}

TEST_F(TrialStoreTest, ADamagedPlanIsToldAndCanBeWrittenAgain) {
  for (const char* text : {"{\"format\":1,\"na", "[]", "", "{\"format\":1,\"name\":3}"}) {
    Write("sweep/sweep.json", text);
    EXPECT_EQ(store_.ReadPlan().status().code(), absl::StatusCode::kDataLoss) << text;
    EXPECT_THAT(std::string(store_.ReadPlan().status().message()),
                HasSubstr("sweep/sweep.json is damaged; `equipoise sweep run`"));
  }
  ASSERT_TRUE(store_.WritePlan(spec_, trials_).ok());
  EXPECT_TRUE(store_.ReadPlan().ok());
}

TEST_F(TrialStoreTest, ANewerVersionsDirectoryIsRefused) {
  Write("sweep/sweep.json", R"({"format":2,"something":"else"})");
  const absl::Status status = store_.ReadPlan().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("was written by a newer version of Equipoise (format 2"));
  EXPECT_EQ(store_.WritePlan(spec_, trials_), status);
}

TEST_F(TrialStoreTest, AnotherSweepsDirectoryIsRefused) {
  spec_.name = "other";
  const absl::Status status = store_.WritePlan(spec_, trials_);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("'sweep' belongs to the sweep 'toy', this one is called 'other'"));
}

TEST_F(TrialStoreTest, ADirectoryWithoutASweepIsToldSo) {
  const TrialStore none(files_, "nowhere");
  EXPECT_EQ(none.ReadPlan().status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(DescribeStatus(none).status().message()),
              HasSubstr("'nowhere' is not the directory of a sweep"));
}

TEST_F(TrialStoreTest, StatusIsATable) {
  ASSERT_TRUE(
      store_.Append({trials_[1].id, TrialState::kFailed, 2, 0, "first line\nsecond", 0.0}).ok());
  const auto text = DescribeStatus(store_);
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(*text,
            "sweep toy: 2 trials: 1 waiting, 1 failed\n"
            "trial             state    step  attempts  router  seed  reason\n"
            "000000000000000a  waiting   0/5         0  top_k      1\n"
            "000000000000000b  failed    0/6         2  lpr        1  first line\n");
}

}  // namespace
}  // namespace equipoise::launcher
