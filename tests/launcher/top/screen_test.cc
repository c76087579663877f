#include "launcher/top/screen.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "core/telemetry/metrics_writer.h"
#include "launcher/commands/run_lock.h"
#include "launcher/top/run_watch.h"
#include "tests/core/telemetry/sample_record.h"

namespace equipoise::launcher {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class TopTest : public ::testing::Test {
 protected:
  TopTest() : path_(std::string(std::getenv("TEST_TMPDIR")) + "/run") {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
    Write("STATUS.json", R"({"state":"running","reason":"","step":2})");
    Write("config.textproto", "steps: 400\n");
  }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(path_ + "/" + name) << text;
  }
  static std::string Rows(int64_t first, int64_t last, int num_layers = 2) {
    std::string text;
    for (int64_t step = first; step <= last; ++step) {
      text += StepRecordToJson(SampleRecord(step, num_layers)) + "\n";
    }
    return text;
  }
  RunNow Now() {
    RunWatch watch(path_);
    EXPECT_TRUE(watch.Update().ok());
    return watch.now();
  }

  std::string path_;
};

size_t Places(const std::string& line) {
  return static_cast<size_t>(std::count_if(line.begin(), line.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0u) != 0x80u;
  }));
}

TEST_F(TopTest, ShowsWhatTheRunSays) {
  StepRecord record = SampleRecord(100);
  record.validation = ValidationRecord{2.875, 1.5, {}, {}};
  Write("metrics.jsonl", Rows(1, 99) + StepRecordToJson(record) + "\n");
  Write("events.jsonl",
        "{\"time\":\"t\",\"step\":7,\"event\":\"warning\",\"text\":\"rank 3 is \\u001bslow\"}\n"
        "{\"time\":\"t\",\"step\":8,\"event\":\"checkpoint\",\"text\":\"saved\"}\n");
  const std::string text = absl::StrJoin(DrawScreen(Now(), {}), "\n");
  for (const char* part :
       {"run  running  step 100/400 (25%)", "ETA ", "loss  3.2600", "validation 2.8750, 1.500",
        "tok/s 41.3k", "MFU   49.9%", "busiest rank 2", "on its node 50.6%", "experts 80%",
        "    1  0.001 0.011", "warning at step 7: rank 3 is ?slow"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  EXPECT_THAT(text, Not(HasSubstr("saved")));
  EXPECT_THAT(text, Not(HasSubstr("\x1b"))) << "a run's texts must not reach the terminal";
}

TEST_F(TopTest, ARunWhoseJobIsGoneHasEnded) {
  Write("metrics.jsonl", Rows(1, 30));
  EXPECT_FALSE(HasEnded(Now())) << "an older run without a lock: nobody knows";
  {
    const auto lock = RunLock::Take(path_ + "/LOCK");
    ASSERT_TRUE(lock.ok());
    EXPECT_FALSE(HasEnded(Now()));
    EXPECT_THAT(absl::StrJoin(DrawScreen(Now(), {}), "\n"), HasSubstr("ETA "));
  }
  const RunNow now = Now();
  EXPECT_TRUE(HasEnded(now));
  const std::string text = absl::StrJoin(DrawScreen(now, {}), "\n");
  EXPECT_THAT(text, HasSubstr("run  interrupted  step 30/400"));
  EXPECT_THAT(text, HasSubstr("its job is gone"));
  EXPECT_THAT(text, Not(HasSubstr("ETA ")));
  Write("STATUS.json", R"({"state":"stopped","reason":"SIGTERM","step":2})");
  EXPECT_EQ(Now().state, "stopped") << "who said how it ended is believed";
}

// Makes the files as old as the last step of a run that hangs, or is gone.
void Age(const std::string& path, std::chrono::seconds age) {
  for (const char* name : {"/metrics.jsonl", "/STATUS.json"}) {
    std::filesystem::last_write_time(path + name,
                                     std::filesystem::file_time_type::clock::now() - age);
  }
}

TEST_F(TopTest, AJobOnAnotherMachineIsJudgedByItsFilesToo) {
  Write("metrics.jsonl", Rows(1, 30));
  Write("run.json", R"({"format": 1, "starts": [{"hosts": ["some-other-node"]}]})");
  Write("LOCK", "");  // free, as far as this machine sees
  Age(path_, std::chrono::seconds(95));
  const RunNow now = Now();
  EXPECT_FALSE(HasEnded(now));
  EXPECT_THAT(absl::StrJoin(DrawScreen(now, {}), "\n"),
              AllOf(HasSubstr("run  running  step 30/400"), HasSubstr("no step for 1m35s; it was "),
                    HasSubstr("started on some-other-node")));
  Age(path_, std::chrono::hours(2));
  EXPECT_TRUE(HasEnded(Now()));
  EXPECT_THAT(Now().reason, AllOf(HasSubstr("its job is gone"), HasSubstr("no step for 2h00m")));
  const auto lock = RunLock::Take(path_ + "/LOCK");
  ASSERT_TRUE(lock.ok());
  EXPECT_FALSE(HasEnded(Now())) << "a lock that is seen to be held decides";
}

TEST_F(TopTest, ARunThatHangsIsSeen) {
  Write("metrics.jsonl", Rows(1, 30));
  const auto lock = RunLock::Take(path_ + "/LOCK");
  ASSERT_TRUE(lock.ok());
  EXPECT_THAT(DrawScreen(Now(), {})[0], Not(HasSubstr("no step for")));
  Age(path_, std::chrono::seconds(3700));
  EXPECT_THAT(DrawScreen(Now(), {})[0], HasSubstr("no step for 1h01m"));
  std::filesystem::remove(path_ + "/LOCK");
  EXPECT_FALSE(HasEnded(Now()));
  EXPECT_THAT(Now().reason, HasSubstr("is not known"));
}

TEST_F(TopTest, NumbersThatAreHugeOrNoneKeepTheirColumns) {
  const double nan = std::nan("");
  std::string plain;
  for (const double value : {0.5, 123456.0, 1e30, 1e300, -1e300, -nan, HUGE_VAL}) {
    StepRecord record = SampleRecord(7);
    record.cross_entropy = record.tokens_per_second = record.step_seconds = value;
    for (LayerRecord& layer : record.layers) {
      layer.gini = layer.floor_gini = layer.max_over_mean = layer.floor_max_over_mean = value;
      layer.dropped_share = value;
    }
    record.validation = ValidationRecord{value, 1.5, {}, {}};
    Write("metrics.jsonl", Rows(1, 6) + StepRecordToJson(record) + "\n");
    const std::vector<std::string> lines = DrawScreen(Now(), {120, 24, false, false});
    std::string layer;
    for (const std::string& line : lines) {
      EXPECT_THAT(line, Not(HasSubstr("-nan")));
      if (line.rfind("    1  ", 0) == 0) layer = line;
    }
    ASSERT_FALSE(layer.empty());
    const std::string bars = layer.substr(layer.find('%') + 3);
    if (plain.empty()) plain = bars;
    EXPECT_EQ(bars, plain) << value;
    EXPECT_EQ(layer.find(bars), size_t{47}) << layer;
  }
}

TEST_F(TopTest, FitsAnyWindow) {
  Write("metrics.jsonl", Rows(1, 30, /*num_layers=*/60));
  const RunNow now = Now();
  for (const int columns : {1, 20, 80, 200}) {
    for (const int rows : {1, 3, 24, 60, 200}) {
      const ScreenOptions options = {columns, rows, true, false};
      const std::vector<std::string> lines = DrawScreen(now, options);
      EXPECT_LE(lines.size(), static_cast<size_t>(rows));
      for (const std::string& line : lines) {
        EXPECT_LE(Places(line), static_cast<size_t>(columns)) << line;
      }
    }
  }
  EXPECT_THAT(absl::StrJoin(DrawScreen(now, {}), "\n"), HasSubstr("layers that are more even"));
}

TEST_F(TopTest, AsciiWhereTheLocaleKnowsNoMore) {
  Write("metrics.jsonl", Rows(1, 9));
  for (const std::string& line : DrawScreen(Now(), {80, 24, false, false})) {
    EXPECT_TRUE(std::all_of(line.begin(), line.end(), [](char c) { return c >= 32 && c < 127; }))
        << line;
  }
}

TEST_F(TopTest, FollowsARunThroughAResume) {
  RunWatch watch(path_);
  ASSERT_TRUE(watch.Update().ok());
  EXPECT_THAT(absl::StrJoin(DrawScreen(watch.now(), {}), "\n"), HasSubstr("no step has finished"));
  for (int64_t last = 1; last <= 4; ++last) {
    Write("metrics.jsonl", Rows(1, last) + "{\"step\":");
    ASSERT_TRUE(watch.Update().ok());
    EXPECT_EQ(watch.now().row.step, last);
    EXPECT_EQ(watch.now().losses.size(), static_cast<size_t>(last));
  }
  Write("metrics.jsonl", Rows(1, 2));
  ASSERT_TRUE(watch.Update().ok());
  EXPECT_EQ(watch.now().row.step, 2);
  EXPECT_EQ(watch.now().losses.size(), 2U);
}

TEST_F(TopTest, WhatIsNoRunIsAnError) {
  EXPECT_TRUE(absl::IsNotFound(RunWatch(path_ + "/none").Update()));
  Write("run.json", R"({"format": 99})");
  EXPECT_TRUE(absl::IsFailedPrecondition(RunWatch(path_).Update()));
}

}  // namespace
}  // namespace equipoise::launcher
