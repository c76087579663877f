#include "launcher/sweep/median_stopping.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/io/file_system.h"

namespace equipoise::launcher {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

TEST(MedianStoppingMetric, MustBeOneThatRowsCanHave) {
  for (const char* good : {"loss", "cross_entropy", "validation.loss", "validation.bits_per_byte",
                           "gradient_norm", "auxiliary.balance", "validation.domains.web.loss"}) {
    EXPECT_TRUE(CheckMetric(good).ok()) << good;
  }
  EXPECT_THAT(std::string(CheckMetric("validation.los").message()),
              HasSubstr("no number 'validation.los'; did you mean validation.loss?"));
  EXPECT_THAT(std::string(CheckMetric("qqqqqqqqqq").message()), HasSubstr("; it has "));
  EXPECT_FALSE(CheckMetric("validation").ok());
  EXPECT_FALSE(CheckMetric("").ok());
}

class MedianStoppingTest : public testing::Test {
 protected:
  MedianStoppingTest() {
    std::filesystem::remove_all(path_);
    options_ = {"cross_entropy", /*after_steps=*/2, /*every_steps=*/2, /*min_trials=*/2};
  }

  // Appends rows of steps from `first` on.
  void Write(const std::string& id, int first, const std::vector<double>& losses,
             const std::string& more = "") {
    std::filesystem::create_directories(store_.trial_path(id));
    std::ofstream file(store_.trial_path(id) + "/metrics.jsonl", std::ios::app);
    for (const double loss : losses) {
      file << "{\"step\":" << first++ << ",\"cross_entropy\":" << loss
           << ",\"moe\":[{\"counts\":[1,2]}]}\n";
    }
    file << more;
  }

  const std::string path_ = testing::TempDir() + "median_stopping_test";
  const std::unique_ptr<FileSystem> files_ = NewPosixFileSystem();
  const TrialStore store_{*files_, path_};
  MedianStoppingOptions options_;
};

TEST_F(MedianStoppingTest, HistoryIsTheRunningMeanAtTheStepsCompared) {
  MetricHistory history(store_.trial_path("a") + "/metrics.jsonl", options_);
  history.Update();  // there is no file yet
  EXPECT_THAT(history.means(), ElementsAre());
  Write("a", 1, {4, 2, 3, 3}, "{\"step\":5,\"cross_en");
  history.Update();
  EXPECT_THAT(history.means(), ElementsAre(Pair(2, 3.0), Pair(4, 3.0)));
  std::ofstream(store_.trial_path("a") + "/metrics.jsonl", std::ios::app) << "tropy\":8}\n";
  Write("a", 6, {10});
  history.Update();
  EXPECT_THAT(history.means(), ElementsAre(Pair(2, 3.0), Pair(4, 3.0), Pair(6, 5.0)));
  // A resumed run begins with a shorter file.
  std::filesystem::remove(store_.trial_path("a") + "/metrics.jsonl");
  Write("a", 1, {1, 1});
  history.Update();
  EXPECT_THAT(history.means(), ElementsAre(Pair(2, 1.0)));
}

TEST_F(MedianStoppingTest, StopsWhatIsWorseThanTheMedianOfTheOthers) {
  MedianStopping rule(store_, {"a", "b", "c"}, options_, absl::ZeroDuration());
  Write("a", 1, {5, 5});
  Write("b", 1, {2, 2});
  EXPECT_EQ(rule.ReasonToStop("a"), "");  // one other is too few
  Write("c", 1, {4, 3});
  // Means at step 2: 5, 2, 3.5.
  EXPECT_EQ(rule.ReasonToStop("a"),
            "at step 2 its mean cross_entropy of 5.0000 was above 2.7500, the median of 2 others");
  EXPECT_EQ(rule.ReasonToStop("b"), "");
  EXPECT_EQ(rule.ReasonToStop("c"), "");  // 3.5 against 3.5
  Write("b", 3, {2, 2});                  // alone at step 4
  EXPECT_EQ(rule.ReasonToStop("b"), "");
}

TEST_F(MedianStoppingTest, NobodyIsStoppedBeforeAfterSteps) {
  options_.after_steps = 3;
  MedianStopping rule(store_, {"a", "b", "c"}, options_, absl::ZeroDuration());
  Write("a", 1, {9, 9});
  Write("b", 1, {1, 1});
  Write("c", 1, {1, 1});
  EXPECT_EQ(rule.ReasonToStop("a"), "");
}

TEST_F(MedianStoppingTest, AMetricMayLieDeeper) {
  options_.metric = "validation.loss";
  MedianStopping rule(store_, {"a", "b", "c"}, options_, absl::ZeroDuration());
  for (const auto& [id, loss] : {std::pair("a", 3), std::pair("b", 1), std::pair("c", 2)}) {
    Write(id, 1, {1}, absl::StrCat("{\"step\":2,\"validation\":{\"loss\":", loss, "}}\n"));
  }
  EXPECT_THAT(rule.ReasonToStop("a"), HasSubstr("mean validation.loss of 3.0000"));
  EXPECT_EQ(rule.ReasonToStop("c"), "");  // the median of 3 and 1
}

}  // namespace
}  // namespace equipoise::launcher
