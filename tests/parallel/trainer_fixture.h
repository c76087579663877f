#ifndef EQUIPOISE_TESTS_PARALLEL_TRAINER_FIXTURE_H_
#define EQUIPOISE_TESTS_PARALLEL_TRAINER_FIXTURE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "comm/link_model.h"
#include "comm/topology.h"
#include "core/data/dataset.h"
#include "core/io/in_memory_file_system.h"
#include "parallel/trainer.h"

namespace equipoise::testing_support {

// What a run told rank 0, in order.
struct TrainEvents final : parallel::TrainObserver {
  void OnStart(int64_t step, const std::string& checkpoint) override;
  void OnNetwork(const comm::Topology& topology, const comm::LinkModel& links,
                 const comm::LinkModel& given) override;
  void OnStep(const StepRecord& record) override;
  void OnValidation(int64_t step, int64_t tokens_seen, const ValidationRecord& record) override;
  void OnCheckpoint(int64_t step, const std::string& path, double seconds) override;
  void OnWarning(const std::string& text) override;

  // Called after each step, on rank 0.
  std::function<void(int64_t step)> after_step;
  std::vector<std::pair<int64_t, std::string>> starts;
  struct Network {
    comm::Topology topology;
    comm::LinkModel links, given;
  };
  std::vector<Network> networks;
  std::vector<StepRecord> steps;
  std::vector<int64_t> validated;  // steps, before the first one and with their records
  std::vector<int64_t> saved;      // steps
  std::vector<std::string> warnings;
};

// A small text, a model that learns it in seconds, and a disk for its checkpoints.
struct TrainSetting {
  parallel::TrainOptions options;
  std::unique_ptr<TokenDataset> data;
  std::unique_ptr<TokenDataset> validation;
  InMemoryFileSystem files;
  std::vector<int> machine_of_rank = {};  // empty: one machine
  // TrainRun::stop_requested of each rank.
  std::function<bool(int rank)> stop_requested;
};

// Text of ten words in random order, so that most letters follow from the ones before; written to
// `folder`. Another text of the same words for validation.
std::unique_ptr<TrainSetting> MakeTrainSetting(const std::string& folder);

struct TrainOutcome {
  absl::Status status;
  std::vector<absl::Status> statuses;             // of every rank
  std::vector<parallel::TrainSummary> summaries;  // of every rank
  TrainEvents events;
};

// Runs Train on `ranks` threads. `prepare`, if given, sees the events first.
TrainOutcome RunTraining(TrainSetting& setting, int ranks,
                         const std::function<void(TrainEvents&)>& prepare = nullptr);

}  // namespace equipoise::testing_support

#endif  // EQUIPOISE_TESTS_PARALLEL_TRAINER_FIXTURE_H_
