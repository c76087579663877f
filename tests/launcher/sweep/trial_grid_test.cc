// From a sweep file to trials.

#include "launcher/sweep/trial_grid.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "launcher/config/sweep_loader.h"
#include "tests/launcher/config/config_text.h"

namespace equipoise::launcher {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// The trials of a sweep over ValidText(), which needs two ranks.
absl::StatusOr<std::vector<Trial>> Expand(const std::string& text,
                                          const std::vector<std::string>& overrides = {}) {
  WriteConfig("base.textproto", ValidText());
  const absl::StatusOr<SweepSpec> spec =
      LoadSweep(WriteConfig("sweep.textproto",
                            absl::StrCat("base: \"base.textproto\" trial { ranks: 2 }\n", text)),
                overrides);
  if (!spec.ok()) return spec.status();
  return ExpandSweep(*spec);
}

// "10 1": the points of each trial.
std::vector<std::string> Points(const std::string& text) {
  std::vector<std::string> points;
  const absl::StatusOr<std::vector<Trial>> trials = Expand(text);
  EXPECT_TRUE(trials.ok()) << trials.status();
  if (!trials.ok()) return {};
  for (const Trial& trial : *trials) {
    std::string& labels = points.emplace_back();
    for (const std::string& label : trial.labels) {
      absl::StrAppend(&labels, labels.empty() ? "" : " ", label);
    }
  }
  return points;
}

constexpr char kTwoAxes[] =
    "axis { field: \"moe.top_k\" values: [1, 2] }\n"
    "axis { field: \"moe.balance_loss.coefficient\" values: [0, 0.01, 1e-1] }\n";

TEST(TrialGrid, AxesAreCrossedAndTheLastVariesFastest) {
  EXPECT_THAT(Points(kTwoAxes), ElementsAre("1 0", "1 0.01", "1 1e-1", "2 0", "2 0.01", "2 1e-1"));
}

TEST(TrialGrid, EveryPointRunsOnceBeforeAnySecondSeed) {
  EXPECT_THAT(Points("axis { field: \"moe.top_k\" values: [1, 2] } seeds: [5, 6]"),
              ElementsAre("1 5", "2 5", "1 6", "2 6"));
  EXPECT_THAT(Points("axis { field: \"seed\" values: [5, 6] }"
                     "axis { field: \"moe.top_k\" values: [1, 2] }"),
              ElementsAre("5 1", "5 2", "6 1", "6 2"));
}

TEST(TrialGrid, FieldsOfAZipStepTogether) {
  EXPECT_THAT(Points("axis { name: \"size\" zip { field: \"moe.top_k\" values: [1, 2] }"
                     "  zip { field: \"moe.expert_width\" values: [64, 32] } }"),
              ElementsAre("1/64", "2/32"));
}

TEST(TrialGrid, RangesHaveBothEnds) {
  EXPECT_THAT(Points("axis { field: \"optimizer.schedule.peak\""
                     "  range { from: 0.1 to: 0.5 step: 0.1 } }"),
              ElementsAre("0.1", "0.2", "0.3", "0.4", "0.5"));
  EXPECT_THAT(Points("axis { field: \"steps\" range { from: 100 to: 250 step: 100 } }"),
              ElementsAre("100", "200"));
  EXPECT_THAT(Points("axis { field: \"steps\" range { from: 250 to: 100 step: 100 } }"),
              ElementsAre("250", "150"));
  EXPECT_THAT(Points("axis { field: \"moe.balance_loss.coefficient\""
                     "  range { from: 0.3 to: 0 step: 0.1 } }"),
              ElementsAre("0.3", "0.2", "0.1", "0"));
  EXPECT_THAT(Points("axis { field: \"steps\" log_range { from: 1000 to: 100 count: 2 } }"),
              ElementsAre("1000", "100"));
  EXPECT_THAT(Points("axis { field: \"optimizer.schedule.peak\""
                     "  log_range { from: 1e-4 to: 1e-2 count: 5 } }"),
              ElementsAre("1e-04", "0.000316228", "0.001", "0.00316228", "0.01"));
}

TEST(TrialGrid, AllConditionsOfASkipMustHold) {
  EXPECT_THAT(
      Points(absl::StrCat(kTwoAxes, "skip { when: \"top_k=1\" when: \"coefficient != 0.010\" }")),
      ElementsAre("1 0.01", "2 0", "2 0.01", "2 1e-1"));
  EXPECT_THAT(Points(absl::StrCat(kTwoAxes, "skip { when: \"top_k=1\" }",
                                  "skip { when: \"coefficient=0\" }")),
              ElementsAre("2 0.01", "2 1e-1"));
}

TEST(TrialGrid, PointsLayFilesAndChangesOverTheBase) {
  WriteConfig("row.textproto", "moe { top_k: 1 expert_width: 16 }");
  const absl::StatusOr<std::vector<Trial>> trials = Expand(
      "axis { name: \"row\" point { name: \"base\" }"
      "  point { name: \"row\" config: \"row.textproto\" set: \"moe.expert_width=64\" } }",
      {"steps=300"});
  ASSERT_TRUE(trials.ok()) << trials.status();
  ASSERT_EQ(trials->size(), 2u);
  EXPECT_THAT((*trials)[0].config_text, HasSubstr("  top_k: 2\n  expert_width: 32\n"));
  EXPECT_THAT((*trials)[1].config_text, HasSubstr("  top_k: 1\n  expert_width: 64\n"));
  EXPECT_EQ((*trials)[1].steps, 300);
}

TEST(TrialGrid, AnIdIsTheHashOfTheExperimentAlone) {
  const auto trials = Expand(kTwoAxes);
  ASSERT_TRUE(trials.ok());
  std::set<std::string> ids;
  for (const Trial& trial : *trials) {
    EXPECT_EQ(trial.id.size(), 16u);
    ids.insert(trial.id);
    // The configuration that a trial is given has the same hash as the one it was made from.
    const auto again = Load(WriteConfig("trial.textproto", trial.config_text), {}, 2);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(again->experiment.hash(), trial.id);
    EXPECT_EQ(again->resolved_text, trial.config_text);
  }
  EXPECT_EQ(ids.size(), trials->size());
  // Other names, another order, another way of writing the same.
  const auto other = Expand(
      "axis { name: \"b\" field: \"moe.balance_loss.coefficient\" values: [1.0e-1] }"
      "axis { name: \"k\" point { name: \"two\" set: \"moe.top_k=2\" } }");
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_EQ(other->front().id, trials->back().id);
}

TEST(TrialGrid, SettingsThatCannotChangeTheResultKeepTheId) {
  const auto trials = Expand(kTwoAxes);
  const auto other = Expand(kTwoAxes, {"checkpoint.every_steps=7", "wait.stop_seconds=99",
                                       "telemetry.progress=OFF", "layout.recompute=true"});
  ASSERT_TRUE(trials.ok() && other.ok()) << other.status();
  for (size_t i = 0; i < trials->size(); ++i) EXPECT_EQ((*trials)[i].id, (*other)[i].id);
}

TEST(TrialGrid, TrialsThatDifferInSuchSettingsOnlyAreToldApart) {
  const auto trials = Expand("axis { field: \"layout.recompute\" values: [false, true] } seeds: 3");
  ASSERT_TRUE(trials.ok()) << trials.status();
  ASSERT_EQ(trials->size(), 2u);
  EXPECT_NE((*trials)[0].id, (*trials)[1].id);
}

TEST(TrialGrid, InvalidConfigurationsAreToldWithTheirTrials) {
  const auto trials = Expand("axis { field: \"moe.top_k\" values: [2, 9] } seeds: [1, 2]");
  const std::string message(trials.status().message());
  EXPECT_EQ(trials.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(message, HasSubstr("sweep.textproto:2: axis top_k: moe.top_k is 9, more than the 8"));
  EXPECT_THAT(message, HasSubstr("    in 2 of 4 trials: those with top_k=9 ("));
  EXPECT_FALSE(absl::StrContains(message, "top_k=2")) << message;
}

// The lines of the faults without the folder of the test.
std::vector<std::string> Faults(const std::string& text,
                                const std::vector<std::string>& overrides = {}) {
  const std::string message = absl::StrReplaceAll(
      std::string(Expand(text, overrides).status().message()), {{testing::TempDir(), ""}});
  return absl::StrSplit(message, '\n', absl::SkipEmpty());
}

TEST(TrialGrid, AFaultIsToldOnceWithThePointsThatMakeIt) {
  const char kAxes[] =
      "axis { field: \"moe.top_k\" values: [2,\n9] }\n"
      "axis { field: \"moe.num_experts\" values: [8, 16] }\n"
      "axis { name: \"owner\" point { name: \"none\" set: \"layout.expert_owner=[]\" } }\n"
      "seeds: [1, 2, 3]";
  EXPECT_THAT(Faults(kAxes),
              ElementsAre("sweep.textproto:4: axis num_experts: moe.top_k is 9, more than the 8 of "
                          "moe.num_experts",
                          "    in 3 of 12 trials: those with top_k=9 (sweep.textproto:3) and "
                          "num_experts=8 (sweep.textproto:4) and owner=none (sweep.textproto:5)"));
  // A fault of the base, or of all trials, is not of any axis.
  EXPECT_THAT(Faults("axis { field: \"moe.top_k\" values: [2, 3] } seeds: [1, 2]", {"steps=10"}),
              ElementsAre(HasSubstr("--set #1 'steps=10': optimizer.schedule.warmup_steps and"),
                          "    in every trial"));
}

TEST(TrialGrid, AFaultInAFileNamesThePointsThatMakeIt) {
  WriteConfig("nine.textproto", "moe { top_k: 9 }");
  WriteConfig("ten.textproto", "moe { top_k: 10 }");
  const auto faults = Faults(
      "axis { name: \"row\" point { name: \"two\" }\n"
      "  point { name: \"nine\" config: \"nine.textproto\" }\n"
      "  point { name: \"ten\" config: \"ten.textproto\" } } seeds: [1, 2]\n"
      "skip { when: \"row=ten\" when: \"seed=2\" }");
  ASSERT_EQ(faults.size(), 8u);  // a report has its line and a caret
  EXPECT_THAT(faults[0], HasSubstr("nine.textproto:1:7: moe.top_k is 9, more than the 8"));
  EXPECT_EQ(faults[3], "    in 2 of 5 trials: those with row=nine (sweep.textproto:3)");
  EXPECT_THAT(faults[4], HasSubstr("ten.textproto:1:7: moe.top_k is 10, more than the 8"));
  // With its other seed skipped, this one cannot be ruled out.
  EXPECT_EQ(faults[7],
            "    in 1 of 5 trials: those with row=ten (sweep.textproto:4) and seed=1 "
            "(sweep.textproto:4)");
}

TEST(TrialGrid, OfVeryManyFaultsTheFirstAreTold) {
  const auto faults = Faults(
      "axis { field: \"optimizer.schedule.warmup_steps\" range { from: 130 to: 101 step: 1 } }");
  ASSERT_EQ(faults.size(), 41u);
  EXPECT_THAT(faults[0],
              HasSubstr("optimizer.schedule.warmup_steps is 130, more than the 100 steps"));
  EXPECT_EQ(faults[40], "and 10 more faults of this kind");
}

TEST(TrialGrid, OneConfigurationIsOneTrial) {
  const auto trials = Expand(
      "axis { name: \"a\" point { name: \"x\" } point { name: \"y\" set: \"moe.top_k=2\" } }");
  EXPECT_THAT(
      std::string(trials.status().message()),
      testing::ContainsRegex("^a=y \\(.*sweep.textproto:2\\) makes the same configuration "
                             "as a=x \\(.*sweep.textproto:2\\): what it sets, the base or"));
  // Whatever else differs between trials.
  EXPECT_THAT(Faults("axis { name: \"a\" point { name: \"x\" } point { name: \"y\" set: "
                     "\"moe.top_k=2\" } } seeds: [1, 2, 3]"),
              testing::SizeIs(2));
}

TEST(TrialGrid, AnAxisMustNotUndoAnother) {
  // A field of one router drops the other router, and all that the first axis set in it.
  const char kSecond[] = "axis { field: \"moe.router.top_k.jitter\" values: [0, 0.1] }";
  WriteConfig("lpr.textproto", "moe { router { lpr {} } }");
  const auto by_override =
      Expand(absl::StrCat("axis { name: \"router\" point { name: \"top_k\" }"
                          "  point { name: \"lpr\" set: \"moe.router.lpr={}\" } }",
                          kSecond));
  EXPECT_THAT(std::string(by_override.status().message()),
              HasSubstr("sweep.textproto:2: axis router, point lpr: moe.router.lpr, which this "
                        "chooses, is replaced by moe.router.top_k later on: skip this "
                        "combination"));
  const auto by_file = Expand(absl::StrCat(
      "axis { name: \"router\" point { name: \"lpr\" config: \"lpr.textproto\" } }", kSecond));
  EXPECT_THAT(std::string(by_file.status().message()),
              HasSubstr("lpr.textproto:1:1: moe.router.lpr, which this chooses, is replaced"));
}

TEST(TrialGrid, NothingLeftIsAnError) {
  const auto trials = Expand("seeds: [1, 2] skip { when: \"seed=1\" } skip { when: \"seed=2\" }");
  EXPECT_THAT(std::string(trials.status().message()),
              HasSubstr("the sweep is empty: its skips leave nothing of the 2 combinations"));
}

TEST(TrialGrid, ThereIsALimit) {
  const auto trials = Expand(
      "axis { field: \"steps\" range { from: 1 to: 5000 step: 1 } }"
      "axis { field: \"seed\" range { from: 1 to: 5000 step: 1 } }");
  EXPECT_THAT(std::string(trials.status().message()),
              HasSubstr("more than 100000 combinations: 5000 of steps times 5000 of seed"));
}

}  // namespace
}  // namespace equipoise::launcher
