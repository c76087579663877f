// The report of a made-up sweep against numbers worked out by hand.

#include "launcher/sweep/sweep_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "core/io/file_system.h"
#include "launcher/sweep/report_text.h"
#include "launcher/sweep/status_table.h"

namespace equipoise::launcher {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

using Row = std::vector<std::optional<double>>;

TEST(ParetoFrontier, KeepsWhatNothingElseBeats) {
  // The third is beaten by the second, the fourth by the first (equal in one column).
  EXPECT_THAT(ParetoFrontier({Row{1, 5}, Row{3, 2}, Row{4, 3}, Row{1, 6}, Row{2, 4}}),
              ElementsAre(0, 1, 4));
}

TEST(ParetoFrontier, EqualRowsAreBothOnIt) {
  EXPECT_THAT(ParetoFrontier({Row{1, 2}, Row{1, 2}}), ElementsAre(0, 1));
}

TEST(ParetoFrontier, RowsWithAGapAreNotCompared) {
  EXPECT_THAT(ParetoFrontier({Row{std::nullopt, 0}, Row{2, 2}}), ElementsAre(1));
  EXPECT_THAT(ParetoFrontier({Row{}, Row{}}), IsEmpty());
}

class SweepReportTest : public testing::Test {
 protected:
  SweepReportTest() : path_(testing::TempDir() + "sweep_report_test"), store_(*files_, path_) {
    std::filesystem::remove_all(path_);
    EXPECT_TRUE(store_.Create().ok());
    spec_.name = "toy";
    spec_.axes = {{"router", {}, false}, {"seed", {}, true}};
  }

  // A trial of one step with these figures; finished unless told otherwise.
  void Add(const std::string& router, int seed, double loss, int first_count, int speed,
           const std::string& state = "finished") {
    const std::string id = absl::StrFormat("%016x", trials_.size());
    trials_.push_back({id, {router, absl::StrCat(seed)}, "steps: 1\n", 1});
    EXPECT_TRUE(store_.PrepareTrial(trials_.back()).ok());
    std::ofstream(store_.trial_path(id) + "/STATUS.json")
        << absl::StrFormat(R"({"state":"%s","step":1})", state);
    std::ofstream(store_.trial_path(id) + "/metrics.jsonl") << absl::StrFormat(
        R"({"step":1,"tokens":16,"cross_entropy":%g,"tokens_per_second":%d,"moe":[)"
        R"({"layer":0,"counts":[%d,%d]}],"validation":{"loss":%g}})"
        "\n{\"step\":2,",
        loss + 1, speed, first_count, 16 - first_count, loss);
  }

  // A finished trial that has the rows of these steps.
  void AddSteps(const std::vector<int>& steps, int last, const std::string& config) {
    const std::string id = absl::StrFormat("%016x", trials_.size());
    trials_.push_back({id, {"a", id}, config, last});
    EXPECT_TRUE(store_.PrepareTrial(trials_.back()).ok());
    std::ofstream(store_.trial_path(id) + "/STATUS.json")
        << absl::StrFormat(R"({"state":"finished","step":%d})", last);
    std::ofstream metrics(store_.trial_path(id) + "/metrics.jsonl");
    for (const int step : steps) {
      metrics << absl::StrFormat("{\"step\":%d,\"cross_entropy\":4}\n", step);
    }
  }

  SweepReport Report(int window = 100) {
    EXPECT_TRUE(store_.WritePlan(spec_, trials_).ok());
    absl::StatusOr<SweepReport> report = MakeSweepReport(store_, window);
    EXPECT_TRUE(report.ok()) << report.status();
    return *std::move(report);
  }

  const std::unique_ptr<FileSystem> files_ = NewPosixFileSystem();
  const std::string path_;
  TrialStore store_;
  SweepSpec spec_;
  std::vector<Trial> trials_;
};

TEST_F(SweepReportTest, SeedsAreSummarisedAndPointsCompared) {
  for (const int seed : {1, 2, 3}) {
    Add("a", seed, 3.0 + seed, 8, 100);  // 5 +- 2.4841, even, slow
    Add("b", seed, 4.0, 12, 200);        // best loss, uneven, fast
    Add("c", seed, 6.0, 12, 150);        // beaten by b in loss and time
  }
  Add("d", 1, 1.0, 8, 900, "failed");  // counts for nothing
  const SweepReport report = Report();
  ASSERT_EQ(report.points.size(), 4u);
  const ReportedPoint& a = report.points[0];
  EXPECT_THAT(a.labels, ElementsAre("a"));
  EXPECT_EQ(a.num_finished, 3);
  EXPECT_DOUBLE_EQ(a[Figure::kValidationLoss]->mean, 5.0);
  EXPECT_NEAR(*a[Figure::kValidationLoss]->half_width, 2.4841, 1e-4);
  EXPECT_DOUBLE_EQ(a[Figure::kGiniMean]->mean, 0.0);
  EXPECT_DOUBLE_EQ(report.points[1][Figure::kGiniMean]->mean, 0.25);
  EXPECT_DOUBLE_EQ(*report.points[1][Figure::kValidationLoss]->half_width, 0.0);
  std::string marks;
  for (const ReportedPoint& point : report.points) {
    marks += point.on_frontier ? "*" : "-";
    marks += point.is_best ? "b " : "  ";
  }
  EXPECT_EQ(marks, "*  *b -  -  ");
  EXPECT_EQ(report.points[3].num_trials, 1);
  EXPECT_EQ(report.points[3].num_finished, 0);
  EXPECT_FALSE(report.points[3][Figure::kValidationLoss].has_value());
  EXPECT_EQ(report.num_skipped_lines, 10);  // half a line in every file
  EXPECT_EQ(report.balance, Figure::kGiniMean);
}

TEST_F(SweepReportTest, StoppedTrialsAreListed) {
  Add("a", 1, 3.5, 8, 100);
  Add("b", 2, 4.5, 8, 100, "stopped");
  TrialEvent event;
  event.id = trials_[1].id;
  event.state = TrialState::kStopped;
  event.attempt = 1;
  event.reason = "above the median";
  ASSERT_TRUE(store_.Append(event).ok());
  const SweepReport report = Report();
  EXPECT_EQ(report.points[1].num_finished, 0);
  EXPECT_THAT(ReportTable(report),
              HasSubstr("stopped, and not counted: " + event.id + " (b, 2): above the median\n"));
}

TEST_F(SweepReportTest, TextsLeaveOutWhatIsAbsent) {
  Add("a, \"b\"", 1, 3.5, 8, 100);
  Add("none", 1, 0, 0, 0, "running");
  const SweepReport report = Report();
  const std::string table = ReportTable(report);
  EXPECT_THAT(table, HasSubstr("3.5000"));
  EXPECT_THAT(table, HasSubstr("* best"));
  EXPECT_THAT(table, HasSubstr("2 lines of metrics.jsonl could not be read"));
  EXPECT_THAT(table, Not(HasSubstr("held-out")));

  const std::vector<std::string> lines = absl::StrSplit(ReportCsv(report), "\r\n");
  ASSERT_EQ(lines.size(), 4u);  // the last is empty
  EXPECT_THAT(lines[0], testing::StartsWith("router,trials,finished,on_frontier,best,"
                                            "validation_loss,validation_loss_ci95,"));
  EXPECT_THAT(lines[1], testing::StartsWith("\"a, \"\"b\"\"\",1,1,1,1,3.5,,,,4.5,,0.0,,"));
  EXPECT_THAT(lines[2], testing::StartsWith("none,1,0,0,0,,,,,"));
  const std::vector<std::string> cells = absl::StrSplit(lines[2], ',');
  ASSERT_EQ(cells.size(), 5 + 2 * kNumFigures);
  for (size_t i = 5; i < cells.size(); ++i) EXPECT_EQ(cells[i], "") << i;

  const auto json = nlohmann::json::parse(ReportJson(report));
  EXPECT_EQ(json["points"][0]["figures"]["validation_loss"]["mean"], 3.5);
  EXPECT_FALSE(json["points"][0]["figures"]["validation_loss"].contains("ci95"));
  EXPECT_TRUE(json["points"][1]["figures"].empty());
  EXPECT_EQ(json["trials"][1]["state"], "interrupted");
  EXPECT_EQ(json["trials"][0]["axes"]["seed"], "1");
  EXPECT_EQ(json["frontier_of"].size(), 3u);
}

TEST_F(SweepReportTest, AFinishedTrialWithoutMetricsIsToldAndNotCounted) {
  Add("a", 1, 3.0, 8, 100);
  Add("a", 2, 5.0, 8, 100);
  std::filesystem::remove(store_.trial_path(trials_[1].id) + "/metrics.jsonl");
  const SweepReport report = Report();
  EXPECT_EQ(report.points[0].num_finished, 1);
  EXPECT_DOUBLE_EQ(report.points[0][Figure::kValidationLoss]->mean, 3.0);
  EXPECT_THAT(ReportTable(report),
              HasSubstr("not counted: " + trials_[1].id + " (a, 2): it has no metrics.jsonl"));
  const auto json = nlohmann::json::parse(ReportJson(report));
  EXPECT_FALSE(json["trials"][0].contains("not_counted"));
  EXPECT_THAT(json["trials"][1]["not_counted"].get<std::string>(),
              HasSubstr("delete " + store_.trial_path(trials_[1].id)));
}

TEST_F(SweepReportTest, AFinishedTrialThatLacksStepsIsToldAndNotCounted) {
  struct Case {
    std::vector<int> steps;
    const char* why;  // "": it counts
    const char* config = "steps: 6\n";
  };
  const Case cases[] = {
      {{1, 2, 3, 4, 5, 6}, ""},
      {{1, 2, 3}, "metrics.jsonl: 3 records are missing after step 3"},
      {{1, 2, 5, 6}, "metrics.jsonl: 2 records are missing after step 2"},
      {{4, 5, 6}, "metrics.jsonl begins at step 4"},
      {{4, 5, 6}, "", "steps: 6\ncheckpoint {\n  resume: \"other/ckpt/3\"\n}\n"},
      {{}, "it has no metrics.jsonl"},
  };
  for (const Case& what : cases) AddSteps(what.steps, 6, what.config);
  for (const int window : {1, 2, 100}) {
    const SweepReport report = Report(window);
    int counted = 0;
    for (size_t i = 0; i < std::size(cases); ++i) {
      const std::string& why = report.trials[i].not_counted;
      EXPECT_THAT(why, testing::StartsWith(cases[i].why)) << i;
      EXPECT_EQ(why.empty(), *cases[i].why == 0) << i << ": " << why;
      counted += why.empty() ? 1 : 0;
    }
    EXPECT_EQ(report.points[0].num_finished, counted);
    EXPECT_EQ(report.points[0][Figure::kTrainingLoss]->count, counted);
  }
}

TEST_F(SweepReportTest, ATrialThatATimeLimitEndedIsNotComparedWithWholeOnes) {
  Add("a", 1, 3.0, 8, 100);
  Add("b", 1, 1.0, 8, 900);  // better in all, but not at its last step
  trials_[1].steps = 3000;
  std::ofstream(store_.trial_path(trials_[1].id) + "/STATUS.json")
      << R"({"state":"finished","reason":"time limit","step":1})";
  const SweepReport report = Report();
  EXPECT_TRUE(report.points[0].is_best);
  EXPECT_TRUE(report.points[0].on_frontier);
  EXPECT_FALSE(report.points[1].on_frontier);
  EXPECT_EQ(report.points[1].num_finished, 0);
  EXPECT_THAT(ReportTable(report),
              HasSubstr(trials_[1].id + " (b, 1): it ended at step 1 of 3000: time limit; raise"));
}

TEST_F(SweepReportTest, WhatANewerProgramWroteIsNotRead) {
  Add("a", 1, 3.0, 8, 100);
  Add("a", 2, 5.0, 8, 100);
  std::ofstream(store_.trial_path(trials_[1].id) + "/run.json") << R"({"format":99})";
  const SweepReport report = Report();
  EXPECT_EQ(report.points[0].num_finished, 1);
  EXPECT_EQ(report.trials[1].figures.num_steps(), 0);
  EXPECT_THAT(report.trials[1].not_counted, HasSubstr("newer Equipoise"));
}

TEST_F(SweepReportTest, TrialsThatLeftTheSweepAreTold) {
  Add("a", 1, 3.0, 8, 100);
  Add("b", 1, 2.0, 8, 100);
  for (const Trial& trial : trials_) {
    TrialEvent event;
    event.id = trial.id;
    event.state = TrialState::kFinished;
    ASSERT_TRUE(store_.Append(event).ok());
  }
  EXPECT_THAT(Report().earlier_trials, IsEmpty());
  trials_.pop_back();
  const SweepReport report = Report();
  const std::string told =
      "1 earlier trial is no longer in the sweep; its folder stays in " + path_ + "/trials\n";
  EXPECT_THAT(ReportTable(report), HasSubstr(told));
  EXPECT_THAT(*DescribeStatus(store_), HasSubstr(told));
  EXPECT_EQ(nlohmann::json::parse(ReportJson(report))["earlier_trials"].get<std::string>() + "\n",
            told);
}

TEST_F(SweepReportTest, ATrialThatHasNotBegunHasNoFigures) {
  Add("a", 1, 3.0, 8, 100);
  std::filesystem::remove_all(store_.trial_path(trials_[0].id));
  const SweepReport report = Report();
  EXPECT_EQ(report.points[0].num_finished, 0);
  EXPECT_FALSE(report.loss.has_value());
  EXPECT_THAT(ReportTable(report), HasSubstr("0/1"));
}

}  // namespace
}  // namespace equipoise::launcher
