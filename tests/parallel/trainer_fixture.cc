#include "tests/parallel/trainer_fixture.h"

#include <fstream>

#include "comm/backends/thread/run_ranks.h"
#include "core/base/check.h"
#include "core/base/rng.h"
#include "core/base/status_macros.h"
#include "core/data/token_file.h"
#include "core/device/device.h"
#include "tests/parallel/tiny_model.h"

namespace equipoise::testing_support {
namespace {

constexpr int64_t kSequenceLength = 16;

std::string MakeText(uint64_t seed, int words) {
  const char* const vocabulary[] = {"balance ", "router ", "token ", "expert ", "exchange ",
                                    "gate ",    "home ",   "mesh ",  "shard ",  "bucket "};
  const Philox random(StreamKey(seed, "text"));
  std::string text;
  for (int i = 0; i < words; ++i) text += vocabulary[random.Below(10, static_cast<uint64_t>(i))];
  return text;
}

std::unique_ptr<TokenDataset> OpenText(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
  DatasetOptions options;
  options.sources = {{"words", {path}, 1.0, TokenFormat::kBytes}};
  options.sequence_length = kSequenceLength;
  auto dataset = TokenDataset::Open(options);
  EQ_CHECK(dataset.ok()) << dataset.status().ToString();
  return *std::move(dataset);
}

}  // namespace

void TrainEvents::OnNetwork(const comm::Topology& topology, const comm::LinkModel& links,
                            const comm::LinkModel& given) {
  networks.push_back({topology, links, given});
}

void TrainEvents::OnStart(int64_t step, const std::string& checkpoint) {
  starts.emplace_back(step, checkpoint);
}

void TrainEvents::OnStep(const StepRecord& record) {
  steps.push_back(record);
  if (record.validation.has_value()) validated.push_back(record.step);
  if (after_step) after_step(record.step);
}

void TrainEvents::OnValidation(int64_t step, int64_t, const ValidationRecord&) {
  validated.push_back(step);
}

void TrainEvents::OnCheckpoint(int64_t step, const std::string&, double) { saved.push_back(step); }

void TrainEvents::OnWarning(const std::string& text) { warnings.push_back(text); }

std::unique_ptr<TrainSetting> MakeTrainSetting(const std::string& folder) {
  auto setting = std::make_unique<TrainSetting>();
  parallel::TrainOptions& options = setting->options;
  options = TinyOptions(DType::kF32, /*sequences=*/8);
  options.batch.sequence_length = kSequenceLength;
  options.model.vocabulary = kByteVocabSize;
  options.optimizer.schedule.kind = ScheduleKind::kConstant;
  options.optimizer.schedule.peak = 2e-2;
  options.steps = 5;
  options.validation.sequences = 9;
  setting->data = OpenText(folder + "train.txt", MakeText(1, 3000));
  setting->validation = OpenText(folder + "validation.txt", MakeText(2, 200));
  return setting;
}

TrainOutcome RunTraining(TrainSetting& setting, int ranks,
                         const std::function<void(TrainEvents&)>& prepare) {
  TrainOutcome outcome;
  if (prepare) prepare(outcome.events);
  outcome.summaries.resize(static_cast<size_t>(ranks));
  const auto body = [&](comm::Communicator& world) -> absl::Status {
    const std::unique_ptr<Device> device = MakeCpuDevice();
    parallel::TrainRun run;
    run.data = setting.data.get();
    run.validation_data = setting.validation.get();
    run.files = &setting.files;
    run.checkpoint_directory = "run/checkpoints";
    run.config_hash = "hash";
    if (setting.stop_requested) {
      run.stop_requested = [&, rank = world.rank()] { return setting.stop_requested(rank); };
    }
    run.observer = world.rank() == 0 ? &outcome.events : nullptr;
    EQ_ASSIGN_OR_RETURN(outcome.summaries[static_cast<size_t>(world.rank())],
                        parallel::Train(*device, world, setting.options, run));
    return absl::OkStatus();
  };
  comm::ThreadWorld::Options world;
  world.num_ranks = ranks;
  world.node_of_rank = setting.machine_of_rank;
  outcome.status = comm::RunRanks(world, body, &outcome.statuses);
  return outcome;
}

}  // namespace equipoise::testing_support
