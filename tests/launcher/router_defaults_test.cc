// Every router of the registry, with the settings a user gets who names it alone: losses do not
// depend on the layout, and a run goes on after a resume as if nothing had happened, the router's
// own state included.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "comm/backends/thread/run_ranks.h"
#include "core/base/status_macros.h"
#include "core/device/device.h"
#include "core/io/in_memory_file_system.h"
#include "gtest/gtest.h"
#include "launcher/config/loader.h"
#include "parallel/sharded_checkpoint.h"
#include "parallel/train_step.h"
#include "routing/router.h"
#include "tests/launcher/config/config_text.h"
#include "tests/parallel/layout_cases.h"
#include "tests/parallel/tiny_model.h"

namespace equipoise::launcher {
namespace {

using parallel::TrainOptions;
using testing_support::TrainLayout;

constexpr int kSteps = 8;
constexpr int kSaveStep = 4;
constexpr int64_t kSequences = 12;
constexpr int kDomains = 2;

// A tiny model with the router that the schema makes of `moe.router.KIND={}`.
absl::StatusOr<TrainOptions> OptionsOf(const std::string& kind) {
  const std::string path = WriteConfig(absl::StrCat("router_", kind, ".textproto"), ValidText());
  std::vector<std::string> overrides = {absl::StrCat("moe.router.", kind, "={}"),
                                        "moe.balance_loss.coefficient=0",
                                        "moe.z_loss.coefficient=0"};
  if (kind == "switch") overrides.push_back("moe.top_k=1");
  EQ_ASSIGN_OR_RETURN(const LoadedConfig config, Load(path, overrides));
  TrainOptions options = testing_support::TinyOptions(DType::kF64, kSequences);
  options.model.moe.router = config.options.train.model.moe.router;
  // One definition for every number of micro-batches.
  options.batch.load_source = parallel::LoadSource::kPreviousStep;
  return options;
}

// The losses of steps after `resume_step` (0: from scratch); saves at kSaveStep when `save`.
absl::StatusOr<std::vector<double>> Train(TrainOptions options, const TrainLayout& layout,
                                          FileSystem& files, bool save, int64_t resume_step) {
  options.layout.expert_parallel = layout.expert_parallel;
  options.layout.recompute = layout.recompute;
  options.batch.accumulation_steps = layout.accumulation;
  std::vector<double> losses;
  EQ_RETURN_IF_ERROR(comm::RunRanks(layout.ranks, [&](comm::Communicator& world) -> absl::Status {
    const std::unique_ptr<Device> device = MakeCpuDevice();
    EQ_ASSIGN_OR_RETURN(auto step, parallel::TrainStep::Create(*device, world, options, kDomains));
    CheckpointDirectory directory(files, "ckpt");
    parallel::ShardedCheckpoint checkpoint(files, directory, *step, {"hash", {}, {}});
    parallel::TrainPosition position;
    if (resume_step > 0) {
      EQ_ASSIGN_OR_RETURN(const Checkpoint found,
                          OpenCheckpoint(files, JoinPath("ckpt", CheckpointName(resume_step))));
      EQ_ASSIGN_OR_RETURN(position, checkpoint.Load(found));
    }
    const parallel::SampleSource source =
        testing_support::SyntheticText(options.model.vocabulary, kDomains);
    while (position.step < kSteps) {
      EQ_ASSIGN_OR_RETURN(const parallel::StepResult result, step->Run(source, position.step + 1));
      position.step = result.step;
      position.samples_seen += kSequences;
      if (world.rank() == 0) losses.push_back(result.loss);
      if (save && position.step == kSaveStep) {
        EQ_RETURN_IF_ERROR(checkpoint.Save(position).status());
      }
    }
    return absl::OkStatus();
  }));
  return losses;
}

class RouterDefaultsTest : public ::testing::TestWithParam<std::string> {};

TEST_P(RouterDefaultsTest, LossesDoNotDependOnTheLayout) {
  const absl::StatusOr<TrainOptions> options = OptionsOf(GetParam());
  ASSERT_TRUE(options.ok()) << options.status();
  InMemoryFileSystem files;
  const auto reference = Train(*options, {}, files, false, 0);
  ASSERT_TRUE(reference.ok()) << reference.status();
  EXPECT_LT(reference->back(), reference->front());
  for (const TrainLayout& layout : {TrainLayout{1, 1, 2, false, {}}, TrainLayout{3, 3, 1, true, {}},
                                    TrainLayout{4, 2, 2, false, {}}}) {
    const auto losses = Train(*options, layout, files, false, 0);
    ASSERT_TRUE(losses.ok()) << layout.ToString() << ": " << losses.status();
    EXPECT_LE(testing_support::WorstRelative(*losses, *reference), 1e-10) << layout.ToString();
  }
}

TEST_P(RouterDefaultsTest, GoesOnAfterAResume) {
  const absl::StatusOr<TrainOptions> options = OptionsOf(GetParam());
  ASSERT_TRUE(options.ok()) << options.status();
  InMemoryFileSystem files;
  const TrainLayout layout = {2, 2, 1, false, {}};
  const auto straight = Train(*options, layout, files, true, 0);
  ASSERT_TRUE(straight.ok()) << straight.status();
  const auto resumed = Train(*options, layout, files, false, kSaveStep);
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  EXPECT_EQ(*resumed, std::vector<double>(straight->begin() + kSaveStep, straight->end()));
}

INSTANTIATE_TEST_SUITE_P(Registry, RouterDefaultsTest, ::testing::ValuesIn(routing::RouterKinds()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace equipoise::launcher
