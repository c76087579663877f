// The scheduler with a program that does not train: failures, retries, ends and resumption.

#include "launcher/sweep/trial_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "core/io/file_system.h"
#include "launcher/commands/run_lock.h"
#include "launcher/sweep/child_process.h"

namespace equipoise::launcher {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

// A sweep in a directory of its own, of trials that do what their configuration says.
class TrialRunnerTest : public testing::Test {
 protected:
  TrialRunnerTest() {
    const testing::TestInfo& info = *testing::UnitTest::GetInstance()->current_test_info();
    path_ = testing::TempDir() + info.name();
    std::filesystem::remove_all(path_);
    store_ = std::make_unique<TrialStore>(*files_, path_);
    EXPECT_TRUE(store_->Create().ok());
    spec_.name = "test";
    spec_.axes = {{"what", {}, false}};
    options_.program = {"tests/launcher/sweep/fake_trial.sh"};
    options_.jobs = 2;
    options_.trial.retries = 0;
    options_.grace = absl::Milliseconds(500);
    options_.busy_patience = absl::Milliseconds(500);
    options_.say = [this](const std::string& line) { said_ += line + "\n"; };
  }

  void Add(const std::string& what) {
    trials_.push_back({absl::StrFormat("%016x", trials_.size()), {what}, what + "\n", 1});
  }

  // Runs what is not finished, as `sweep run` does.
  RunnerResult Run() {
    EXPECT_TRUE(store_->WritePlan(spec_, trials_).ok());
    std::vector<Trial> left;
    std::map<std::string, int> attempts;
    const std::map<std::string, TrialStatus> statuses = Statuses();
    for (const Trial& trial : trials_) {
      attempts[trial.id] = statuses.at(trial.id).attempts;
      if (statuses.at(trial.id).state != TrialState::kFinished) left.push_back(trial);
    }
    // Pointers in the result are to the trials it was given.
    runs_.push_back(std::move(left));
    absl::StatusOr<RunnerResult> result =
        TrialRunner(*store_, *files_, spec_.axes, options_).Run(runs_.back(), attempts);
    EXPECT_TRUE(result.ok()) << result.status();
    return *std::move(result);
  }

  std::map<std::string, TrialStatus> Statuses() { return *store_->ReadStatus(*store_->ReadPlan()); }

  int NumStarts(const Trial& trial) const {
    std::ifstream file(store_->trial_path(trial.id) + "/starts");
    return static_cast<int>(std::count(std::istreambuf_iterator<char>(file), {}, '\n'));
  }

  std::string path_;
  const std::unique_ptr<FileSystem> files_ = NewPosixFileSystem();
  std::unique_ptr<TrialStore> store_;
  SweepSpec spec_;
  std::vector<Trial> trials_;
  std::deque<std::vector<Trial>> runs_;
  RunnerOptions options_;
  std::string said_;
};

// What failed, and why.
std::vector<std::pair<std::string, std::string>> Failures(const RunnerResult& result) {
  std::vector<std::pair<std::string, std::string>> failures;
  for (const auto& [trial, reason] : result.failed) failures.emplace_back(trial->labels[0], reason);
  return failures;
}

TEST_F(TrialRunnerTest, TellsWhatTheTrialItselfSaidLast) {
  Add("complain 3");
  EXPECT_THAT(Failures(Run()),
              ElementsAre(Pair("complain 3", "exit code 3 (data): text.bytes: no such file")));
  trials_[0].config_text = "exit 3\n";  // an earlier attempt's words are not this one's
  EXPECT_THAT(Failures(Run()), ElementsAre(Pair("complain 3", "exit code 3 (data)")));
}

TEST_F(TrialRunnerTest, AFailureDoesNotStopTheRest) {
  for (const char* what : {"finish", "exit 1", "finish", "crash", "lie", "reason 65", "finish"}) {
    Add(what);
  }
  const RunnerResult result = Run();
  EXPECT_EQ(result.finished, 3);
  EXPECT_EQ(result.unfinished, 0);
  EXPECT_THAT(
      Failures(result),
      testing::UnorderedElementsAre(
          Pair("exit 1", "exit code 1"), Pair("crash", HasSubstr("killed by signal 11")),
          Pair("lie", "it ended without having finished"),
          Pair("reason 65", "exit code 65 (numbers that are not finite): the loss is not finite")));
  const auto statuses = Statuses();
  EXPECT_EQ(statuses.at(trials_[0].id).state, TrialState::kFinished);
  EXPECT_EQ(statuses.at(trials_[1].id).state, TrialState::kFailed);
  EXPECT_EQ(statuses.at(trials_[5].id).step, 7);
}

TEST_F(TrialRunnerTest, RetriesWhatMayGoWellTheNextTime) {
  options_.trial.retries = 2;
  for (const char* what : {"flaky 2", "flaky 3", "exit 2", "exit 75"}) Add(what);
  const RunnerResult result = Run();
  EXPECT_EQ(result.finished, 1);
  EXPECT_EQ(result.failed.size(), 3u);
  EXPECT_EQ(result.failed_for_good, 1);  // exit 2
  EXPECT_EQ(NumStarts(trials_[0]), 3);
  EXPECT_EQ(NumStarts(trials_[1]), 3);
  EXPECT_EQ(NumStarts(trials_[2]), 1);  // a configuration does not get better
  EXPECT_EQ(NumStarts(trials_[3]), 3);
  EXPECT_EQ(Statuses().at(trials_[1].id).attempts, 3);
  EXPECT_THAT(said_, HasSubstr("will be tried again"));
  // A new call has new retries, and takes only what is left.
  EXPECT_EQ(Run().finished, 1);
  EXPECT_EQ(NumStarts(trials_[0]), 3);
  EXPECT_EQ(NumStarts(trials_[1]), 4);
  EXPECT_EQ(Statuses().at(trials_[1].id).attempts, 4);
}

TEST_F(TrialRunnerTest, EndsWhatTakesTooLong) {
  options_.trial.max_minutes = 0.3 / 60;
  options_.trial.retries = 1;
  for (const char* what : {"deaf", "finish"}) Add(what);
  const RunnerResult result = Run();
  EXPECT_EQ(result.finished, 1);
  EXPECT_THAT(Failures(result), ElementsAre(Pair("deaf", HasSubstr("took longer than trial.max"))));
  EXPECT_EQ(NumStarts(trials_[0]), 1);  // it would take as long again
}

TEST_F(TrialRunnerTest, AStopFileEndsTheTrialsAndLeavesThemToGoOn) {
  for (int i = 0; i < 4; ++i) Add("sleep 50");
  options_.say = [this](const std::string& line) {
    if (line.find("started") == 0) std::ofstream(store_->stop_path()) << "stop";
  };
  const RunnerResult result = Run();
  EXPECT_TRUE(result.asked_to_stop);
  EXPECT_EQ(result.finished, 0);
  EXPECT_EQ(result.unfinished, 4);
  EXPECT_TRUE(std::filesystem::exists(store_->trial_path(trials_[0].id) + "/ends"));
  EXPECT_EQ(Statuses().at(trials_[0].id).state, TrialState::kInterrupted);
  EXPECT_EQ(Statuses().at(trials_[3].id).state, TrialState::kWaiting);
  std::filesystem::remove(store_->stop_path());
  options_.say = [](const std::string&) {};
  EXPECT_EQ(Run().finished, 4);
}

TEST_F(TrialRunnerTest, ATrialThatAnotherJobTrainsIsLeftAlone) {
  for (const char* what : {"finish", "finish"}) Add(what);
  ASSERT_TRUE(store_->PrepareTrial(trials_[0]).ok());
  const auto lock = RunLock::Take(JoinPath(store_->trial_path(trials_[0].id), "LOCK"));
  ASSERT_TRUE(lock.ok());
  const RunnerResult result = Run();
  EXPECT_EQ(result.finished, 1);
  EXPECT_EQ(result.unfinished, 1);
  EXPECT_EQ(NumStarts(trials_[0]), 0);
  EXPECT_THAT(said_, HasSubstr("another job is training it"));
}

TEST_F(TrialRunnerTest, WhatAnotherJobHasFinishedIsNotRunAgain) {
  options_.busy_patience = absl::Minutes(1);
  Add("finish");
  ASSERT_TRUE(store_->PrepareTrial(trials_[0]).ok());
  const std::string path = store_->trial_path(trials_[0].id);
  absl::StatusOr<RunLock> lock = RunLock::Take(JoinPath(path, "LOCK"));
  ASSERT_TRUE(lock.ok());
  options_.say = [&](const std::string& line) {
    said_ += line + "\n";
    if (line.find("waiting") == std::string::npos) return;
    std::ofstream(path + "/STATUS.json") << R"({"state":"finished","reason":"","step":1})";
    *lock = RunLock();
  };
  const RunnerResult result = Run();
  EXPECT_EQ(result.finished, 1);
  EXPECT_EQ(result.unfinished, 0);
  EXPECT_EQ(NumStarts(trials_[0]), 0);
  EXPECT_EQ(Statuses().at(trials_[0].id).attempts, 0);
  EXPECT_THAT(said_, HasSubstr("waiting   what=finish"));
  EXPECT_THAT(said_, HasSubstr("by another job, 1 of 1 done"));
}

// Ends one trial by name.
class Verdict final : public TrialJudge {
 public:
  explicit Verdict(std::string id) : id_(std::move(id)) {}
  std::string ReasonToStop(const std::string& id) override { return id == id_ ? "poor" : ""; }

 private:
  const std::string id_;
};

TEST_F(TrialRunnerTest, TheJudgeEndsATrialForGood) {
  for (const char* what : {"sleep 500", "finish"}) Add(what);
  Verdict verdict(trials_[0].id);
  options_.judge = &verdict;
  const RunnerResult result = Run();
  EXPECT_EQ(result.stopped, 1);
  EXPECT_EQ(result.finished, 1);
  EXPECT_TRUE(result.failed.empty());
  const TrialStatus status = Statuses().at(trials_[0].id);
  EXPECT_EQ(status.state, TrialState::kStopped);
  EXPECT_EQ(status.reason, "poor");
}

TEST_F(TrialRunnerTest, AKilledSweepGoesOnWithWhatIsNotFinished) {
  constexpr int kTrials = 24;
  for (int i = 0; i < kTrials; ++i) Add("sleep 8");
  ASSERT_TRUE(store_->WritePlan(spec_, trials_).ok());
  const auto num_finished = [&] {
    int count = 0;
    for (const auto& [id, status] : Statuses()) count += status.state == TrialState::kFinished;
    return count;
  };
  const pid_t child = fork();
  if (child == 0) {
    Run();
    _exit(0);
  }
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (num_finished() < 9 && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(20));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  // As a kill in the middle of a write would leave it.
  std::ofstream(path_ + "/trials.jsonl", std::ios::app) << "{\"id\":\"0000";

  absl::SleepFor(absl::Milliseconds(300));  // the trials hear that their parent is gone
  const std::map<std::string, TrialStatus> before = Statuses();
  const int left = kTrials - num_finished();
  EXPECT_GT(left, 4);
  EXPECT_LE(left, kTrials - 9);
  const RunnerResult result = Run();
  EXPECT_EQ(result.finished, left);
  EXPECT_EQ(num_finished(), kTrials);
  int started_twice = 0;
  for (const Trial& trial : trials_) {
    const bool was_finished = before.at(trial.id).state == TrialState::kFinished;
    EXPECT_NE(before.at(trial.id).state, TrialState::kRunning) << "its process is gone";
    EXPECT_GE(NumStarts(trial), 1) << trial.id;
    EXPECT_LE(NumStarts(trial), was_finished ? 1 : 2) << trial.id;
    started_twice += NumStarts(trial) == 2;
  }
  EXPECT_LE(started_twice, options_.jobs);
}

TEST_F(TrialRunnerTest, AProgramThatCannotBeStartedIsNamedAndNotTriedAgain) {
  options_.program = {"no_such_program"};
  options_.trial.retries = 2;
  Add("finish");
  EXPECT_THAT(Failures(Run()), ElementsAre(Pair("finish", HasSubstr("exit code 127: cannot start "
                                                                    "'no_such_program'"))));
  EXPECT_EQ(Statuses().at(trials_[0].id).attempts, 1);
}

TEST(CanStart, LooksWhereExecvpDoes) {
  EXPECT_TRUE(CanStart("sh"));
  EXPECT_TRUE(CanStart("/bin/sh"));
  EXPECT_FALSE(CanStart("no_such_program"));
  EXPECT_FALSE(CanStart("/bin/no_such_program"));
  EXPECT_FALSE(CanStart("/bin"));         // a folder
  EXPECT_FALSE(CanStart("/etc/passwd"));  // not to be executed
  EXPECT_FALSE(CanStart(""));
}

TEST(CheckMpirun, NamesTheProgramAndItsPlace) {
  SweepTrialOptions options;
  options.mpirun = "mpirunnn -x 3";
  options.mpirun_place = "s.textproto:4:9";
  EXPECT_TRUE(CheckMpirun(options).ok());  // one rank has no need of it
  options.ranks = 2;
  EXPECT_THAT(std::string(CheckMpirun(options).message()),
              testing::StartsWith("s.textproto:4:9: trial.mpirun starts 'mpirunnn', which is in no "
                                  "folder of PATH: "));
  options.mpirun = "  sh -c";
  EXPECT_TRUE(CheckMpirun(options).ok());
}

TEST(DescribeEnd, SaysWhatTheCodeMeans) {
  EXPECT_EQ(DescribeEnd({3, 0}), "exit code 3 (data)");
  EXPECT_THAT(DescribeEnd({0, 9}), HasSubstr("killed by signal 9"));
}

}  // namespace
}  // namespace equipoise::launcher
