#ifndef EQUIPOISE_PARALLEL_TRAINER_H_
#define EQUIPOISE_PARALLEL_TRAINER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "comm/communicator.h"
#include "comm/link_model.h"
#include "comm/topology.h"
#include "core/data/dataset.h"
#include "core/io/file_system.h"
#include "core/telemetry/step_record.h"
#include "parallel/sharded_checkpoint.h"
#include "parallel/train_options.h"
#include "parallel/train_step.h"

namespace equipoise::parallel {

// Told how a run goes, as it goes. Called on the training thread: be quick, and never throw.
class TrainObserver {
 public:
  virtual ~TrainObserver() = default;
  // The run starts after `step` (0: from scratch). `checkpoint`: the directory it resumes from, or
  // empty.
  virtual void OnStart(int64_t step, const std::string& checkpoint) = 0;
  // After OnStart, what the run's exchanges cross: the nodes of all ranks, and what links between
  // them cost. `links`: none for a model without experts, or in a job of one rank; `given`: those
  // that the configuration says, the others were measured.
  virtual void OnNetwork(const comm::Topology& topology, const comm::LinkModel& links,
                         const comm::LinkModel& given) {
    static_cast<void>(topology), static_cast<void>(links), static_cast<void>(given);
  }
  // After each step, its validation included if one was due.
  virtual void OnStep(const StepRecord& record) = 0;
  // The validation before the first step.
  virtual void OnValidation(int64_t step, int64_t tokens_seen, const ValidationRecord& record) = 0;
  virtual void OnCheckpoint(int64_t step, const std::string& path, double seconds) = 0;
  // Something the user should know that does not stop the run.
  virtual void OnWarning(const std::string& text) = 0;
};

// What a run reads and where it keeps its checkpoints. Borrowed pointers.
struct TrainRun {
  const TokenDataset* data = nullptr;
  // Null: no validation.
  const TokenDataset* validation_data = nullptr;
  FileSystem* files = nullptr;
  std::string checkpoint_directory;
  std::string config_hash;
  // Whether somebody has asked this rank to end the run. Asked every step; all ranks then end after
  // the same step, with a checkpoint if the run keeps any. Null: never.
  std::function<bool()> stop_requested;
  // Null on ranks that do not report.
  TrainObserver* observer = nullptr;
};

struct TrainSummary {
  int64_t first_step = 0;  // first one this run made, counting from 1
  int64_t last_step = 0;
  int64_t tokens_seen = 0;
  double tokens_per_second = 0.0;  // over the steps of this run, validation and saves left out
  StopReason stopped = StopReason::kNone;
  std::optional<ValidationRecord> first_validation;
  std::optional<ValidationRecord> last_validation;
  StepRecord last_record;
};

// Trains from the newest checkpoint (or from scratch) until options.steps, options.time_limit or a
// request to stop: steps, validations and checkpoints at their intervals. Collective over `world`;
// every rank gets the same summary but for times. Statuses, for the caller's exit code:
//   InvalidArgument, NotFound   options and ranks, or a checkpoint that must exist and does not
//   FailedPrecondition          a checkpoint that is damaged or of another model
//   OutOfRange                  data: a token outside the vocabulary
//   DataLoss                    a loss or gradient that is not finite
//   DeadlineExceeded, Aborted   another rank is gone or hangs
absl::StatusOr<TrainSummary> Train(Device& device, comm::Communicator& world,
                                   const TrainOptions& options, const TrainRun& run);

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_TRAINER_H_
