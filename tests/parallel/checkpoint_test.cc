// Same seed, same layout: the same bits after 50 steps, also with a save and a resume between; and
// on another layout the same values, tensor by tensor.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "comm/backends/thread/run_ranks.h"
#include "core/base/status_macros.h"
#include "core/device/device.h"
#include "core/io/in_memory_file_system.h"
#include "gtest/gtest.h"
#include "parallel/sharded_checkpoint.h"
#include "parallel/train_step.h"
#include "tests/parallel/tiny_model.h"
#include "tests/support/test_context.h"

namespace equipoise::parallel {
namespace {

constexpr int64_t kSequences = 12;

struct Layout {
  int ranks = 1;
  int expert_parallel = 1;
  int accumulation = 1;
};

TrainOptions OptionsOf(const Layout& layout, DType dtype) {
  TrainOptions options = testing_support::TinyOptions(dtype, kSequences);
  options.layout.expert_parallel = layout.expert_parallel;
  options.batch.accumulation_steps = layout.accumulation;
  return options;
}

// Every parameter of a run by logical name, from all ranks.
using Values = std::map<std::string, std::vector<double>>;

struct Plan {
  Layout layout;
  int64_t load_step = 0;  // 0: from scratch
  int64_t last_step = 50;
  std::vector<int64_t> save_steps;
  DType dtype = DType::kF32;
};

absl::Status RunRank(const Plan& plan, FileSystem& files, comm::Communicator& world,
                     Values& values) {
  const TrainOptions options = OptionsOf(plan.layout, plan.dtype);
  const std::unique_ptr<Device> device = MakeCpuDevice();
  EQ_ASSIGN_OR_RETURN(auto step, TrainStep::Create(*device, world, options, 1));
  CheckpointDirectory directory(files, "ckpt");
  ShardedCheckpoint checkpoint(files, directory, *step, {"hash", {{"hidden", 16}}, {}});
  TrainPosition position;
  if (plan.load_step > 0) {
    EQ_ASSIGN_OR_RETURN(const Checkpoint found,
                        OpenCheckpoint(files, JoinPath("ckpt", CheckpointName(plan.load_step))));
    EQ_ASSIGN_OR_RETURN(position, checkpoint.Load(found));
  }
  const SampleSource source = testing_support::SyntheticText(options.model.vocabulary, 1);
  while (position.step < plan.last_step) {
    EQ_ASSIGN_OR_RETURN(const StepResult result, step->Run(source, position.step + 1));
    position.step = result.step;
    position.tokens_seen += result.tokens;
    position.samples_seen += kSequences;
    for (const int64_t save : plan.save_steps) {
      if (position.step == save) EQ_RETURN_IF_ERROR(checkpoint.Save(position).status());
    }
  }
  for (const auto& parameter : step->parameters().parameters()) {
    const std::vector<double> all = testing_support::ToDoubles(parameter->value());
    auto begin = all.begin();
    for (const LogicalTensor& part : parameter->spec().parts) {
      values[part.name].assign(begin, begin + part.shape.num_elements());
      begin += part.shape.num_elements();
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Values> Train(const Plan& plan, FileSystem& files) {
  std::vector<Values> of_rank(static_cast<size_t>(plan.layout.ranks));
  EQ_RETURN_IF_ERROR(comm::RunRanks(plan.layout.ranks, [&](comm::Communicator& world) {
    return RunRank(plan, files, world, of_rank[static_cast<size_t>(world.rank())]);
  }));
  Values all;
  for (Values& values : of_rank) {
    for (auto& [name, value] : values) {
      const auto [at, inserted] = all.emplace(name, value);
      EXPECT_TRUE(inserted || at->second == value) << "ranks disagree about " << name;
    }
  }
  return all;
}

Values MustTrain(const Plan& plan, FileSystem& files) {
  absl::StatusOr<Values> values = Train(plan, files);
  EXPECT_TRUE(values.ok()) << values.status();
  return values.ok() ? *std::move(values) : Values();
}

const std::vector<Layout>& AllLayouts() {
  static const auto& layouts = *new std::vector<Layout>{{1, 1, 1}, {2, 1, 1}, {2, 2, 2}, {3, 3, 1},
                                                        {4, 2, 1}, {4, 4, 2}, {7, 7, 1}};
  return layouts;
}

TEST(Checkpoint, SameSeedGivesTheSameBitsTwiceAndThroughAResume) {
  for (const Layout& layout : AllLayouts()) {
    SCOPED_TRACE(absl::StrCat(layout.ranks, " ranks, expert_parallel ", layout.expert_parallel));
    InMemoryFileSystem files;
    Plan plan;
    plan.layout = layout;
    plan.save_steps = {25};
    const Values first = MustTrain(plan, files);
    plan.save_steps.clear();
    EXPECT_EQ(MustTrain(plan, files), first) << "the second run differs";
    plan.load_step = 25;
    EXPECT_EQ(MustTrain(plan, files), first) << "the resumed run differs";
  }
}

double WorstDifference(const Values& a, const Values& b) {
  EXPECT_EQ(a.size(), b.size());
  double worst = 0.0;
  for (const auto& [name, values] : a) {
    const auto found = b.find(name);
    if (found == b.end() || found->second.size() != values.size()) {
      ADD_FAILURE() << name << " is missing or has another size";
      continue;
    }
    for (size_t i = 0; i < values.size(); ++i) {
      worst = std::max(worst, std::abs(values[i] - found->second[i]));
    }
  }
  return worst;
}

TEST(Checkpoint, LoadsOnAnyLayout) {
  double worst = 0.0;
  for (const Layout& saved : AllLayouts()) {
    InMemoryFileSystem files;
    Plan plan;
    plan.dtype = DType::kF64;
    plan.layout = saved;
    plan.last_step = 8;
    plan.save_steps = {5};
    const Values straight = MustTrain(plan, files);
    for (const Layout& loaded : AllLayouts()) {
      // With another number of micro-batches the load comes from another step, by definition.
      if ((loaded.accumulation == 1) != (saved.accumulation == 1)) continue;
      SCOPED_TRACE(absl::StrCat("saved on ", saved.ranks, " ranks, loaded on ", loaded.ranks));
      Plan resumed = plan;
      resumed.layout = loaded;
      resumed.load_step = 5;
      resumed.save_steps.clear();
      const double difference = WorstDifference(straight, MustTrain(resumed, files));
      EXPECT_LE(difference, 1e-10);
      worst = std::max(worst, difference);
    }
  }
  std::printf("worst difference of a parameter after resharding and three steps: %.3g\n", worst);
}

TEST(Checkpoint, RefusesACheckpointOfAnotherModel) {
  InMemoryFileSystem files;
  Plan plan;
  plan.layout = {2, 2, 1};
  plan.last_step = 2;
  plan.save_steps = {2};
  MustTrain(plan, files);
  const absl::Status status = comm::RunRanks(3, [&](comm::Communicator& world) -> absl::Status {
    TrainOptions options = OptionsOf({3, 3, 1}, DType::kF32);
    options.model.moe.router.num_experts = 9;
    const std::unique_ptr<Device> device = MakeCpuDevice();
    EQ_ASSIGN_OR_RETURN(auto step, TrainStep::Create(*device, world, options, 1));
    CheckpointDirectory directory(files, "ckpt");
    ShardedCheckpoint checkpoint(files, directory, *step, {"hash", {{"hidden", 16}}, {}});
    EQ_ASSIGN_OR_RETURN(const Checkpoint found,
                        OpenCheckpoint(files, JoinPath("ckpt", CheckpointName(2))));
    return checkpoint.Load(found).status();
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_NE(status.message().find("experts.8.down_proj"), std::string::npos) << status;
  EXPECT_NE(status.message().find("mlp.gate.weight"), std::string::npos) << status;
}

TEST(Checkpoint, NamesTheTensorOfADamagedFile) {
  InMemoryFileSystem files;
  Plan plan;
  plan.layout = {2, 2, 1};
  plan.last_step = 1;
  plan.save_steps = {1};
  MustTrain(plan, files);
  const std::string path =
      JoinPath(JoinPath("ckpt", CheckpointName(1)), "model-00002-of-00002.safetensors");
  std::string bytes;
  {
    const auto view = files.Map(path);
    ASSERT_TRUE(view.ok()) << view.status();
    bytes = std::string((*view)->text());
  }
  bytes[bytes.size() - 10] = static_cast<char>(bytes[bytes.size() - 10] ^ 0x20);
  const auto file = files.Create(path);
  ASSERT_TRUE(file.ok() && (*file)->Append(std::string_view(bytes)).ok() && (*file)->Close().ok());
  plan.load_step = 1;
  plan.last_step = 2;
  const auto resumed = Train(plan, files);
  EXPECT_EQ(resumed.status().code(), absl::StatusCode::kDataLoss) << resumed.status();
  EXPECT_NE(resumed.status().message().find("model-00002-of-00002"), std::string::npos)
      << resumed.status();
}

}  // namespace
}  // namespace equipoise::parallel
