// A run goes on with the number of nodes that it began with, on whatever machines.

#include "parallel/node_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/io/checkpoint_directory.h"
#include "parallel/trainer.h"
#include "routing/locality.h"
#include "tests/parallel/trainer_fixture.h"

namespace equipoise::parallel {
namespace {

using routing::LocalityBiasMode;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;
using testing_support::MakeTrainSetting;
using testing_support::TrainOutcome;
using testing_support::TrainSetting;

constexpr char kNewest[] = "run/checkpoints/step-00000003";

Checkpoint Recorded(const char* json) {
  Checkpoint checkpoint;
  checkpoint.path = "ckpt/step-00000002";
  if (json != nullptr) checkpoint.manifest.state["nodes"] = nlohmann::json::parse(json);
  return checkpoint;
}

TEST(NodeRecord, ComesBack) {
  Checkpoint checkpoint;
  EXPECT_EQ(RecordedNodes(checkpoint).value(), std::nullopt);
  RecordNodes(3, checkpoint.manifest);
  EXPECT_EQ(RecordedNodes(checkpoint).value(), 3);
}

TEST(NodeRecord, DamageIsFound) {
  for (const char* text : {"0", "-1", "2.5", "\"2\"", "[]", "99999999999"}) {
    const absl::Status status = RecordedNodes(Recorded(text)).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("ckpt/step-00000002")) << text;
  }
}

TEST(NodeRecord, IsWhatARunGoesOnWith) {
  EXPECT_EQ(ChooseNodes(Recorded(nullptr), 0, false)->nodes, 0);
  EXPECT_EQ(ChooseNodes(Recorded(nullptr), 5, false)->nodes, 5);
  EXPECT_EQ(ChooseNodes(Recorded("2"), 0, false)->nodes, 2);
  EXPECT_EQ(ChooseNodes(Recorded("2"), 2, false)->nodes, 2);
  const absl::Status other = ChooseNodes(Recorded("2"), 3, false).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(other));
  EXPECT_THAT(
      std::string(other.message()),
      HasSubstr("moe.locality.nodes is 3, but the checkpoint ckpt/step-00000002 was trained "
                "with 2"));
  const auto fork = ChooseNodes(Recorded("2"), 3, true);
  ASSERT_TRUE(fork.ok()) << fork.status();
  EXPECT_EQ(fork->nodes, 3);
  EXPECT_THAT(fork->warning, HasSubstr("another experiment"));
}

class ResumedNodesTest : public ::testing::TestWithParam<LocalityBiasMode> {
 protected:
  std::unique_ptr<TrainSetting> Setting() const {
    auto setting = MakeTrainSetting(::testing::TempDir() + "/node_record_");
    routing::LocalityOptions& locality = setting->options.model.moe.router.locality;
    locality.num_nodes = 0;
    locality.bias = {GetParam(), 0.5, 0.9, 0.2, 2.0};
    locality.loss.coefficient = 0.1;
    return setting;
  }

  // So many more steps on those machines.
  static TrainOutcome GoOn(TrainSetting& setting, int steps, const std::vector<int>& machines) {
    setting.options.steps = setting.files.Exists(kNewest) ? 3 + steps : steps;
    setting.machine_of_rank = machines;
    return testing_support::RunTraining(setting, static_cast<int>(machines.size()));
  }

  static int& nodes(TrainSetting& setting) {
    return setting.options.model.moe.router.locality.num_nodes;
  }
};

TEST_P(ResumedNodesTest, AreThoseItBeganWith) {
  const auto straight = Setting();
  const TrainOutcome whole = GoOn(*straight, 5, {0, 1});
  ASSERT_TRUE(whole.status.ok()) << whole.status;
  ASSERT_EQ(whole.events.steps.size(), 5u);
  EXPECT_THAT(whole.events.warnings, Each(Not(HasSubstr("moe.locality"))));
  const std::vector<std::vector<int>> layouts = {{0, 1}, {0}, {0, 0}, {0, 1, 2}, {0, 1, 1}};
  for (const std::vector<int>& machines : layouts) {
    const auto setting = Setting();
    ASSERT_TRUE(GoOn(*setting, 3, {0, 1}).status.ok());
    const TrainOutcome rest = GoOn(*setting, 2, machines);
    ASSERT_TRUE(rest.status.ok()) << rest.status;
    EXPECT_EQ(rest.events.starts[0].first, 3);
    ASSERT_EQ(rest.events.steps.size(), 2u);
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_NEAR(rest.events.steps[i].loss, whole.events.steps[3 + i].loss, 1e-4) << i;
    }
    const std::string line = std::string("moe.locality goes on with the 2 nodes of ") + kNewest;
    const int there = machines.back() + 1;
    if (there == 2) {
      EXPECT_THAT(rest.events.warnings, Each(Not(HasSubstr("goes on with"))));
    } else {
      EXPECT_THAT(rest.events.warnings, Contains(AllOf(HasSubstr(line), HasSubstr("the job has"))));
    }
  }
}

TEST_P(ResumedNodesTest, MayBeSaidAndMustBeThose) {
  const auto setting = Setting();
  ASSERT_TRUE(GoOn(*setting, 3, {0, 1}).status.ok());
  nodes(*setting) = 3;
  const TrainOutcome other = GoOn(*setting, 1, {0, 1});
  EXPECT_TRUE(absl::IsFailedPrecondition(other.status)) << other.status;
  EXPECT_THAT(std::string(other.status.message()),
              AllOf(HasSubstr("moe.locality.nodes is 3"), HasSubstr("with 2")));
  setting->options.checkpoint.resume = kNewest;
  const TrainOutcome fork = GoOn(*setting, 1, {0, 1});
  if (GetParam() == LocalityBiasMode::kController) {
    EXPECT_THAT(std::string(fork.status.message()), HasSubstr("moe.locality.nodes"));
  } else {
    EXPECT_TRUE(fork.status.ok()) << fork.status;
    EXPECT_THAT(fork.events.warnings, Contains(HasSubstr("another experiment")));
  }
}

TEST_P(ResumedNodesTest, OneNodeIsToldAndStays) {
  const auto setting = Setting();
  const TrainOutcome one = GoOn(*setting, 3, {0});
  ASSERT_TRUE(one.status.ok()) << one.status;
  EXPECT_THAT(one.events.warnings, Contains(HasSubstr("moe.locality.loss have no effect")));
  const TrainOutcome two = GoOn(*setting, 1, {0, 1});
  ASSERT_TRUE(two.status.ok()) << two.status;
  EXPECT_THAT(two.events.warnings, AllOf(Contains(HasSubstr("goes on with the 1 node")),
                                         Contains(HasSubstr("have no effect"))));
}

// As before nodes were recorded: the machines decide.
TEST_P(ResumedNodesTest, OldCheckpointsGoOnAsTheyDid) {
  const auto setting = Setting();
  setting->options.model.moe.router.locality.bias.mode = LocalityBiasMode::kNone;
  setting->options.model.moe.router.locality.loss.coefficient = 0.0;
  ASSERT_TRUE(GoOn(*setting, 3, {0}).status.ok());
  setting->options.model.moe.router.locality = Setting()->options.model.moe.router.locality;
  const TrainOutcome two = GoOn(*setting, 1, {0, 1});
  ASSERT_TRUE(two.status.ok()) << two.status;
  EXPECT_THAT(two.events.warnings,
              AllOf(Each(Not(HasSubstr("goes on with"))), Each(Not(HasSubstr("no effect")))));
}

INSTANTIATE_TEST_SUITE_P(Biases, ResumedNodesTest,
                         ::testing::Values(LocalityBiasMode::kFixed, LocalityBiasMode::kController),
                         [](const auto& info) {
                           return info.param == LocalityBiasMode::kFixed ? "fixed" : "controller";
                         });

}  // namespace
}  // namespace equipoise::parallel
