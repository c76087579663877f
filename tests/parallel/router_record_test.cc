// A run goes on with other losses, biases or routers than its checkpoint's, and with checkpoints
// from before their segments had names.

#include "parallel/router_record.h"

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "comm/backends/thread/run_ranks.h"
#include "core/base/status_macros.h"
#include "core/device/device.h"
#include "gtest/gtest.h"
#include "parallel/train_step.h"
#include "parallel/trainer.h"
#include "tests/parallel/trainer_fixture.h"
#include "tests/routing/router_fixture.h"

namespace equipoise::parallel {
namespace {

using routing::RouterOptions;
using testing_support::TrainOutcome;
using testing_support::TrainSetting;

class RouterRecordTest : public ::testing::Test {
 protected:
  void SetUp() override {
    setting_ = testing_support::MakeTrainSetting(::testing::TempDir() + "/router_record_");
    setting_->options.batch.load_source = LoadSource::kPreviousStep;
    setting_->options.checkpoint.every_steps = 3;
    setting_->options.steps = 3;
    router().settings = routing::DefaultSettings("top_k");
  }

  RouterOptions& router() { return setting_->options.model.moe.router; }
  void UseLpr() {
    router().kind = "lpr";
    router().settings = routing::LprSettings("GEOMETRIC");
  }

  // Two more steps than before, from the newest checkpoint.
  TrainOutcome GoOn() {
    setting_->options.steps += 2;
    return testing_support::RunTraining(*setting_, 2);
  }

  // Warnings that are not about the routers do not occur here.
  static std::string Warnings(const TrainOutcome& outcome) {
    return absl::StrJoin(outcome.events.warnings, "\n");
  }

  std::unique_ptr<TrainSetting> setting_;
};

double AuxiliaryOf(const StepRecord& record, const std::string& name) {
  for (const auto& [key, value] : record.auxiliary) {
    if (key == name) return value;
  }
  return std::nan("");
}

TEST_F(RouterRecordTest, ALossOfTheSameSizeDoesNotReadAnothersSums) {
  UseLpr();
  router().balance_loss.coefficient = 0.1;
  ASSERT_TRUE(testing_support::RunTraining(*setting_, 2).status.ok());
  router().balance_loss.coefficient = 0.0;
  router().settings.Set("losses.soft_load", 0.1);
  const TrainOutcome outcome = GoOn();
  ASSERT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_TRUE(absl::StrContains(Warnings(outcome), "soft_load of layers 1, 2"))
      << Warnings(outcome);
  EXPECT_FALSE(absl::StrContains(Warnings(outcome), "token_diversity")) << Warnings(outcome);
  ASSERT_EQ(outcome.events.steps.size(), 2u);
  EXPECT_EQ(AuxiliaryOf(outcome.events.steps[0], "soft_load"), 0.0);
  // A divergence: small, and never below 0 by more than the step's change of the mean.
  EXPECT_GT(AuxiliaryOf(outcome.events.steps[1], "soft_load"), -0.05);
  EXPECT_LT(AuxiliaryOf(outcome.events.steps[1], "soft_load"), 0.5);
  // What both runs have is read: in a first step it would be 0.
  EXPECT_NE(AuxiliaryOf(outcome.events.steps[0], "token_diversity"), 0.0);
}

TEST_F(RouterRecordTest, TakesAwayALossInFrontWithoutShiftingTheOthers) {
  UseLpr();
  router().balance_loss.coefficient = 0.1;
  ASSERT_TRUE(testing_support::RunTraining(*setting_, 2).status.ok());
  router().balance_loss.coefficient = 0.0;
  router().z_loss.coefficient = 0.0;
  const TrainOutcome outcome = GoOn();
  ASSERT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_EQ(Warnings(outcome), "");
  // The mean cosine of all pairs lies in [-1, 1], its square's mean in [0, 1]: times 0.25 and two
  // layers. Sums of another loss, of hundreds, would leave that far behind.
  const double value = AuxiliaryOf(outcome.events.steps[0], "token_diversity");
  EXPECT_GT(value, -0.5);
  EXPECT_LT(value, 0.5);
}

TEST_F(RouterRecordTest, ABiasMayComeAndGo) {
  ASSERT_TRUE(testing_support::RunTraining(*setting_, 2).status.ok());
  routing::SetBias("SIGN", 0.01, router().settings);
  TrainOutcome outcome = GoOn();
  ASSERT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_TRUE(absl::StrContains(Warnings(outcome), "no bias of layers 1, 2")) << Warnings(outcome);

  setting_->options.checkpoint.every_steps = 1;
  outcome = GoOn();  // saves the bias
  ASSERT_TRUE(outcome.status.ok()) << outcome.status;
  routing::SetBias("QUANTILE", 0.5, router().settings);  // another rule for the same bias
  outcome = GoOn();
  ASSERT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_EQ(Warnings(outcome), "");

  router().settings = routing::DefaultSettings("top_k");
  outcome = GoOn();
  ASSERT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_TRUE(absl::StrContains(Warnings(outcome), "has bias of layers 1, 2, which this run"))
      << Warnings(outcome);
}

TEST_F(RouterRecordTest, RefusesABiasOfOtherScores) {
  routing::SetBias("SIGN", 0.01, router().settings);
  ASSERT_TRUE(testing_support::RunTraining(*setting_, 2).status.ok());
  router().settings.Set("score", std::string("SIGMOID"));
  const TrainOutcome outcome = GoOn();
  for (const absl::Status& status : outcome.statuses) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    for (const char* part : {"run/checkpoints/step-00000003", "layer 1", "SOFTMAX", "SIGMOID"}) {
      EXPECT_TRUE(absl::StrContains(status.message(), part)) << part << " in " << status;
    }
  }
}

TEST_F(RouterRecordTest, RefusesAnotherRouter) {
  ASSERT_TRUE(testing_support::RunTraining(*setting_, 2).status.ok());
  router().kind = "aux_free_bias";
  router().settings = routing::DefaultSettings("aux_free_bias");
  const TrainOutcome outcome = GoOn();
  EXPECT_EQ(outcome.status.code(), absl::StatusCode::kFailedPrecondition) << outcome.status;
  for (const char* part : {"run/checkpoints/step-00000003", "layer 1", "top_k", "aux_free_bias"}) {
    EXPECT_TRUE(absl::StrContains(outcome.status.message(), part)) << outcome.status;
  }
}

// Runs body(manifest of a run of `options`) with the record of a fresh model.
void WithRecord(const TrainOptions& options,
                const std::function<void(Manifest& manifest, TrainStep& step)>& body) {
  const absl::Status status = comm::RunRanks(1, [&](comm::Communicator& world) -> absl::Status {
    const std::unique_ptr<Device> device = MakeCpuDevice();
    EQ_ASSIGN_OR_RETURN(const auto step, TrainStep::Create(*device, world, options, 1));
    Manifest manifest;
    RecordRouters(step->model(), step->statistics(), manifest);
    body(manifest, *step);
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(RouterRecordTest, ReadsWhatHasNoNamesOnlyIfAllLengthsFit) {
  WithRecord(setting_->options, [&](Manifest& manifest, TrainStep& step) {
    manifest.state.erase("router_layout");
    auto read = ReadRouters(manifest, "old", step.model(), step.statistics());
    ASSERT_TRUE(read.ok()) << read.status();
    ASSERT_EQ(read->warnings.size(), 1u);
    EXPECT_TRUE(absl::StrContains(read->warnings[0], "old")) << read->warnings[0];

    TrainOptions biased = setting_->options;
    routing::SetBias("SIGN", 0.01, biased.model.moe.router.settings);
    WithRecord(biased, [&](Manifest&, TrainStep& other) {
      const auto refused = ReadRouters(manifest, "old", other.model(), other.statistics());
      EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
      EXPECT_TRUE(absl::StrContains(refused.status().message(), "layer 1 has 0 values"))
          << refused.status();
    });
    TrainOptions without_loss = setting_->options;
    without_loss.model.moe.router.balance_loss.coefficient = 0.0;
    WithRecord(without_loss, [&](Manifest&, TrainStep& other) {
      const auto refused = ReadRouters(manifest, "old", other.model(), other.statistics());
      EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
      EXPECT_TRUE(absl::StrContains(refused.status().message(), "38 sums there and 22 here"))
          << refused.status();
    });
  });
}

TEST_F(RouterRecordTest, ADamagedRecordIsNotRead) {
  WithRecord(setting_->options, [&](Manifest& manifest, TrainStep& step) {
    const Manifest whole = manifest;
    const auto code = [&] {
      return ReadRouters(manifest, "p", step.model(), step.statistics()).status().code();
    };
    EXPECT_EQ(code(), absl::StatusCode::kOk);
    for (const char* key : {"router_statistics", "router_statistics_tokens", "router_state"}) {
      manifest = whole;
      manifest.state.erase(key);
      EXPECT_EQ(code(), absl::StatusCode::kDataLoss) << key;
    }
    manifest = whole;
    manifest.state["router_layout"][1]["sums"][0][1] = 1000000;
    EXPECT_EQ(code(), absl::StatusCode::kDataLoss);
    manifest = whole;
    manifest.state["router_layout"][0].erase("state");
    EXPECT_EQ(code(), absl::StatusCode::kDataLoss);
    manifest = whole;
    manifest.state["router_layout"].erase(0);
    EXPECT_EQ(code(), absl::StatusCode::kDataLoss);
  });
}

}  // namespace
}  // namespace equipoise::parallel
