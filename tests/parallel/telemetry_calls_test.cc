// Telemetry rides on messages that training sends anyway: whatever is recorded, a step has as many
// collectives as one that needs them for its losses and gradients alone.

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "comm/backends/thread/run_ranks.h"
#include "comm/decorators/timing.h"
#include "comm/verb.h"
#include "core/base/status_macros.h"
#include "core/device/device.h"
#include "gtest/gtest.h"
#include "parallel/train_step.h"
#include "parallel/trainer.h"
#include "tests/parallel/tiny_model.h"
#include "tests/parallel/trainer_fixture.h"

namespace equipoise::parallel {
namespace {

using comm::Verb;
using Calls = std::array<int64_t, comm::kNumVerbs>;

constexpr int kRanks = 4;
constexpr int kDomains = 3;

Calls CallsOf(const comm::VerbTimes& times) {
  Calls calls = {};
  for (size_t i = 0; i < calls.size(); ++i) calls[i] = times.verbs[i].calls;
  return calls;
}

TrainOptions Options(int expert_parallel) {
  TrainOptions options = testing_support::TinyOptions(DType::kF32, 12);
  options.layout.expert_parallel = expert_parallel;
  return options;
}

// Rank 0's collectives of one step after the first.
absl::StatusOr<Calls> CallsOfStep(const TrainOptions& options) {
  Calls first = {};
  EQ_RETURN_IF_ERROR(comm::RunRanks(kRanks, [&](comm::Communicator& world) -> absl::Status {
    comm::VerbTimes times;
    const auto counted = comm::MakeTiming(world, times);
    const std::unique_ptr<Device> device = MakeCpuDevice();
    EQ_ASSIGN_OR_RETURN(auto step, TrainStep::Create(*device, *counted, options, kDomains));
    const SampleSource source = testing_support::SyntheticText(options.model.vocabulary, kDomains);
    EQ_RETURN_IF_ERROR(step->Run(source, 1).status());
    times = {};
    EQ_ASSIGN_OR_RETURN(const StepResult result, step->Run(source, 2));
    EQ_RETURN_IF_ERROR(result.layers.empty() ? absl::InternalError("no MoE layers")
                                             : absl::OkStatus());
    if (world.rank() == 0) first = CallsOf(times);
    return absl::OkStatus();
  }));
  return first;
}

TEST(TelemetryCallsTest, AStepHasTheCollectivesOfItsLossesAndGradients) {
  const auto calls = CallsOfStep(Options(kRanks));
  ASSERT_TRUE(calls.ok()) << calls.status();
  // The sums of each of two routers; the losses, which take all of telemetry with them; the
  // gradient's norm.
  EXPECT_EQ((*calls)[static_cast<size_t>(Verb::kAllReduce)], 2 + 1 + 1);
  EXPECT_EQ((*calls)[static_cast<size_t>(Verb::kBarrier)], 0);
  EXPECT_EQ((*calls)[static_cast<size_t>(Verb::kBroadcast)], 0);
}

TEST(TelemetryCallsTest, NothingThatCanBeSwitchedOnAddsOne) {
  for (const int expert_parallel : {1, 2, kRanks}) {
    const auto plain = CallsOfStep(Options(expert_parallel));
    TrainOptions options = Options(expert_parallel);
    options.consistency = {1, 4, 1.5};
    options.model.moe.router.locality.num_nodes = 2;
    const auto everything = CallsOfStep(options);
    ASSERT_TRUE(plain.ok() && everything.ok()) << plain.status() << everything.status();
    EXPECT_EQ(*everything, *plain) << expert_parallel;
  }
}

// Of every rank of a whole run; `observer` is told of it on rank 0, if given.
absl::StatusOr<std::vector<Calls>> CallsOfRun(const std::string& name, TrainObserver* observer) {
  const auto setting = testing_support::MakeTrainSetting(::testing::TempDir() + "/" + name);
  setting->options.steps = 4;
  setting->options.layout.expert_parallel = 2;
  std::vector<Calls> calls(kRanks);
  EQ_RETURN_IF_ERROR(comm::RunRanks(kRanks, [&](comm::Communicator& world) -> absl::Status {
    comm::VerbTimes times;
    const auto counted = comm::MakeTiming(world, times);
    const std::unique_ptr<Device> device = MakeCpuDevice();
    TrainRun run;
    run.data = setting->data.get();
    run.validation_data = setting->validation.get();
    run.files = &setting->files;
    run.checkpoint_directory = "/ckpt";
    if (world.rank() == 0) run.observer = observer;
    EQ_RETURN_IF_ERROR(Train(*device, *counted, setting->options, run).status());
    calls[static_cast<size_t>(world.rank())] = CallsOf(times);
    return absl::OkStatus();
  }));
  return calls;
}

TEST(TelemetryCallsTest, ARunThatReportsHasThoseOfOneThatDoesNot) {
  testing_support::TrainEvents events;
  const auto silent = CallsOfRun("silent", nullptr);
  const auto reporting = CallsOfRun("reporting", &events);
  ASSERT_TRUE(silent.ok() && reporting.ok()) << silent.status() << reporting.status();
  EXPECT_EQ(*reporting, *silent);
  ASSERT_EQ(events.steps.size(), 4u);
  EXPECT_FALSE(events.steps.back().layers[0].gate_bins.empty());
  EXPECT_FALSE(events.steps.back().node_bytes.empty());
}

}  // namespace
}  // namespace equipoise::parallel
