#include "parallel/trainer.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "comm/collectives.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "core/data/fingerprint.h"
#include "core/data/token_layout.h"
#include "core/device/context.h"
#include "core/telemetry/phase.h"
#include "parallel/data_record.h"
#include "parallel/logical_nodes.h"
#include "parallel/model_flops.h"
#include "parallel/node_record.h"
#include "parallel/resume_choice.h"
#include "parallel/step_report.h"
#include "parallel/text_exchange.h"
#include "parallel/train_samples.h"

namespace equipoise::parallel {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kSetupWorkspaceBytes = size_t{1} << 24;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// One run of one rank. Lives as long as Train.
class Trainer {
 public:
  Trainer(comm::Communicator& world, const TrainOptions& options, const TrainRun& run)
      : world_(world),
        options_(options),
        run_(run),
        directory_(*run.files, run.checkpoint_directory) {}

  absl::Status Prepare(Device& device);
  absl::Status Resume();
  absl::Status Loop();
  TrainSummary TakeSummary() { return std::move(summary_); }

 private:
  bool first_rank() const { return world_.rank() == 0; }
  void MapValidationDomains();
  void Warn(const std::vector<std::string>& warnings);
  void WarnOfLayout(int asked_nodes);
  absl::Status FindCheckpoint(Device& device);
  absl::Status TakeNodes(const Checkpoint& checkpoint);
  absl::Status TakeFingerprint();
  absl::Status CheckData(const Checkpoint& checkpoint);
  absl::Status Load(const Checkpoint& checkpoint);
  absl::StatusOr<StepRecord> RunStep();
  absl::StatusOr<ValidationRecord> Validate();
  absl::Status Save(bool last);
  StopReason Vote() const;
  bool ValidationIsDue(int64_t step, bool last) const;
  bool SaveIsDue(int64_t step, bool last) const;
  StepRecord Report(const StepResult& result, const PhaseSeconds& time, double seconds);

  comm::Communicator& world_;
  TrainOptions options_;  // with the checkpoint's number of nodes, if they leave it open
  const TrainRun& run_;
  CheckpointDirectory directory_;
  std::optional<Checkpoint> found_;  // to go on from, until it is loaded
  std::optional<int> recorded_nodes_;
  std::unique_ptr<TrainStep> step_;
  std::unique_ptr<ShardedCheckpoint> checkpoint_;
  std::unique_ptr<ValidationWindows> windows_;
  std::optional<TrainSamples> samples_;
  std::vector<std::string> domains_;    // by number
  std::vector<int> validation_domain_;  // number of each domain of the validation data
  RunData data_;                        // of the first rank
  TrainPosition position_;
  int64_t saved_step_ = -1;
  Clock::time_point start_;
  double gemm_rate_ = 0.0;  // of all ranks, FLOP/s; 0: not measured
  double step_seconds_ = 0.0;
  int64_t run_tokens_ = 0;
  TrainSummary summary_;
};

absl::Status Trainer::Prepare(Device& device) {
  start_ = Clock::now();
  const int train_domains = run_.data->num_domains();
  for (int d = 0; d < train_domains; ++d) domains_.push_back(run_.data->domain_name(d));
  if (run_.validation_data != nullptr) MapValidationDomains();
  const int asked_nodes = options_.model.moe.router.locality.num_nodes;
  EQ_RETURN_IF_ERROR(FindCheckpoint(device));
  EQ_ASSIGN_OR_RETURN(
      step_, TrainStep::Create(device, world_, options_, static_cast<int>(domains_.size())));
  EQ_ASSIGN_OR_RETURN(samples_,
                      TrainSamples::Create(*run_.data, options_, step_->locality().num_nodes));
  if (run_.validation_data != nullptr && options_.validation.sequences > 0) {
    windows_ =
        std::make_unique<ValidationWindows>(run_.validation_data, options_.validation.sequences);
  }
  WarnOfLayout(asked_nodes);
  if (options_.model.dtype == DType::kF32) {
    EQ_ASSIGN_OR_RETURN(gemm_rate_, MeasureGemmRate(world_, step_->context()));
  }
  EQ_RETURN_IF_ERROR(TakeFingerprint());
  ShardedCheckpoint::Options checkpoint;
  checkpoint.data = data_;
  checkpoint.config_hash = run_.config_hash;
  if (PrefersNodes(options_)) checkpoint.nodes = step_->locality().num_nodes;
  const ModelOptions& model = options_.model;
  checkpoint.model = {{"vocabulary", model.vocabulary},
                      {"hidden", model.hidden},
                      {"layers", model.num_layers},
                      {"heads", model.num_heads},
                      {"kv_heads", model.num_kv_heads},
                      {"head_dim", model.head_dim},
                      {"dense_layers", model.num_dense_layers},
                      {"experts", model.moe.router.num_experts},
                      {"expert_width", model.moe.expert_width},
                      {"shared_expert_width", model.moe.shared_expert_width}};
  checkpoint.layout = {{"expert_parallel", step_->mesh().expert().size()}};
  checkpoint_ = std::make_unique<ShardedCheckpoint>(*run_.files, directory_, *step_, checkpoint);
  const absl::Status prepared = first_rank() ? directory_.Prepare() : absl::OkStatus();
  return comm::AgreeOnStatus(world_, step_->context(), prepared,
                             {.name = "directory of checkpoints"});
}

// A domain has one number in training and validation, that of its name.
void Trainer::MapValidationDomains() {
  for (int d = 0; d < run_.validation_data->num_domains(); ++d) {
    const std::string& name = run_.validation_data->domain_name(d);
    const auto found = std::find(domains_.begin(), domains_.end(), name);
    validation_domain_.push_back(static_cast<int>(found - domains_.begin()));
    if (found == domains_.end()) domains_.push_back(name);
  }
}

void Trainer::Warn(const std::vector<std::string>& warnings) {
  if (run_.observer == nullptr) return;
  for (const std::string& warning : warnings) run_.observer->OnWarning(warning);
}

// What of the layout does not serve the experiment, and what of the experiment does nothing.
void Trainer::WarnOfLayout(int asked_nodes) {
  const int machines = step_->topology().num_nodes();
  if (recorded_nodes_.has_value() && asked_nodes == 0 && *recorded_nodes_ != machines) {
    Warn({absl::StrCat("moe.locality goes on with the ", *recorded_nodes_,
                       *recorded_nodes_ == 1 ? " node of " : " nodes of ", found_->path,
                       ", although the job has ", machines,
                       machines == 1 ? " machine" : " machines")});
  }
  if (!step_->stray_warning().empty()) Warn({step_->stray_warning()});
  const std::string idle_preferences =
      DescribeIdlePreferences(options_, step_->locality().num_nodes, asked_nodes);
  if (!idle_preferences.empty()) Warn({idle_preferences});
  const routing::ExpertPlacement& placement = step_->placement();
  int idle = 0;
  for (int owner = 0; owner < placement.num_owners(); ++owner) {
    if (placement.num_experts_of(owner) == 0) ++idle;
  }
  if (idle == 0 || step_->model().routers().empty()) return;
  Warn({absl::StrCat(idle, " of the ", placement.num_owners(),
                     " ranks that share the experts own none; a smaller "
                     "layout.expert_parallel puts them to work")});
}

// Before there is a model: the checkpoint may say how many nodes it has.
absl::Status Trainer::FindCheckpoint(Device& device) {
  EQ_ASSIGN_OR_RETURN(const auto workspace, Workspace::Create(device, kSetupWorkspaceBytes));
  const std::unique_ptr<Stream> stream = MakeCpuStream();
  const Context context = {&device, stream.get(), workspace.get(), workspace.get()};
  absl::StatusOr<ResumeChoice> chosen = ResumeChoice();
  if (first_rank()) chosen = ChooseCheckpoint(directory_, options_.checkpoint.resume);
  const comm::WaitOptions choice = {.name = "choice of a checkpoint"};
  EQ_RETURN_IF_ERROR(comm::AgreeOnStatus(world_, context, chosen.status(), choice));
  Warn(chosen->warnings);
  EQ_ASSIGN_OR_RETURN(const std::string path,
                      BroadcastText(world_, context, chosen->path, 0, choice));
  if (path.empty()) return absl::OkStatus();
  absl::StatusOr<Checkpoint> checkpoint = OpenCheckpoint(*run_.files, path);
  absl::Status status = checkpoint.status();
  if (status.ok()) status = TakeNodes(*checkpoint);
  EQ_RETURN_IF_ERROR(
      comm::AgreeOnStatus(world_, context, status, {.name = "opening a checkpoint"}));
  found_ = *std::move(checkpoint);
  return absl::OkStatus();
}

absl::Status Trainer::TakeNodes(const Checkpoint& checkpoint) {
  if (!PrefersNodes(options_)) return absl::OkStatus();
  const std::string& resume = options_.checkpoint.resume;
  int& nodes = options_.model.moe.router.locality.num_nodes;
  EQ_ASSIGN_OR_RETURN(const NodeChoice choice,
                      ChooseNodes(checkpoint, nodes, resume != "auto" && resume != "must"));
  nodes = choice.nodes;
  recorded_nodes_ = choice.recorded;
  if (!choice.warning.empty()) Warn({choice.warning});
  return absl::OkStatus();
}

absl::Status Trainer::Resume() {
  const std::string path = found_.has_value() ? found_->path : "";
  if (found_.has_value()) {
    EQ_RETURN_IF_ERROR(Load(*found_));
    found_.reset();
  }
  if (run_.observer != nullptr) {
    run_.observer->OnStart(position_.step, path);
    run_.observer->OnNetwork(step_->topology(), step_->links(), options_.layout.links);
  }
  summary_.first_step = position_.step + 1;
  summary_.last_step = position_.step;
  summary_.tokens_seen = position_.tokens_seen;
  return absl::OkStatus();
}

// One rank is enough: all read the same files.
absl::Status Trainer::TakeFingerprint() {
  absl::Status status;
  const auto take = [&](const TokenDataset& text, std::vector<DomainFingerprint>& result) {
    absl::StatusOr<std::vector<DomainFingerprint>> data = FingerprintOf(text);
    status.Update(data.status());
    if (data.ok()) result = *std::move(data);
  };
  if (first_rank()) {
    take(*run_.data, data_.training);
    if (windows_ != nullptr) take(*run_.validation_data, data_.validation);
  }
  return comm::AgreeOnStatus(world_, step_->context(), status, {.name = "fingerprint of corpus"});
}

absl::Status Trainer::CheckData(const Checkpoint& checkpoint) {
  EQ_ASSIGN_OR_RETURN(const std::vector<std::string> warnings,
                      CheckSameData(checkpoint, data_, options_.allow_other_data));
  Warn(warnings);
  return absl::OkStatus();
}

absl::Status Trainer::Load(const Checkpoint& checkpoint) {
  const absl::Status status = first_rank() ? CheckData(checkpoint) : absl::OkStatus();
  EQ_RETURN_IF_ERROR(comm::AgreeOnStatus(world_, step_->context(), status,
                                         {.name = "comparing a checkpoint's data"}));
  const absl::StatusOr<TrainPosition> position = checkpoint_->Load(checkpoint);
  if (position.status().code() == absl::StatusCode::kDataLoss) {
    return absl::FailedPreconditionError(
        absl::StrCat(position.status().message(), "; the checkpoint ", checkpoint.path,
                     " is damaged: remove it to resume from an older one, or name another with "
                     "checkpoint.resume=PATH"));
  }
  EQ_RETURN_IF_ERROR(position.status());
  Warn(checkpoint_->warnings());
  position_ = *position;
  saved_step_ = position_.step;
  return absl::OkStatus();
}

absl::Status Trainer::Loop() {
  if (windows_ != nullptr) {
    EQ_ASSIGN_OR_RETURN(summary_.first_validation, Validate());
    summary_.last_validation = summary_.first_validation;
    if (run_.observer != nullptr) {
      run_.observer->OnValidation(position_.step, position_.tokens_seen,
                                  *summary_.first_validation);
    }
  }
  bool last = position_.step >= options_.steps;
  while (!last) {
    EQ_ASSIGN_OR_RETURN(StepRecord record, RunStep());
    last = position_.step >= options_.steps || summary_.stopped != StopReason::kNone;
    if (ValidationIsDue(position_.step, last)) {
      EQ_ASSIGN_OR_RETURN(record.validation, Validate());
      summary_.last_validation = record.validation;
    }
    if (run_.observer != nullptr) run_.observer->OnStep(record);
    summary_.last_record = std::move(record);
    if (SaveIsDue(position_.step, last)) EQ_RETURN_IF_ERROR(Save(last));
  }
  return absl::OkStatus();
}

bool Trainer::ValidationIsDue(int64_t step, bool last) const {
  // Who asks a run to end often kills it soon after: the checkpoint comes first.
  if (windows_ == nullptr || summary_.stopped == StopReason::kRequest) return false;
  if (last) return true;
  return options_.validation.every_steps > 0 && step % options_.validation.every_steps == 0;
}

bool Trainer::SaveIsDue(int64_t step, bool last) const {
  if (summary_.stopped == StopReason::kRequest) {
    return options_.checkpoint.save_at_end || options_.checkpoint.every_steps > 0;
  }
  if (last && options_.checkpoint.save_at_end) return saved_step_ != step;
  return options_.checkpoint.every_steps > 0 && step % options_.checkpoint.every_steps == 0;
}

absl::StatusOr<StepRecord> Trainer::RunStep() {
  const Clock::time_point start = Clock::now();
  const int64_t step = position_.step + 1;
  // The data goes on where it stopped, also when the batch size changed since.
  const int64_t first = position_.step * options_.batch.sequences;
  const SampleSource source = [&](uint64_t index, std::span<int32_t> tokens, int* domain) {
    return samples_->Get(position_.samples_seen, static_cast<int64_t>(index) - first, tokens,
                         domain);
  };
  EQ_ASSIGN_OR_RETURN(const StepResult result, step_->Run(source, step, [this] { return Vote(); }));
  summary_.stopped = result.stop;
  position_.step = step;
  position_.tokens_seen += result.tokens;
  position_.samples_seen += options_.batch.sequences;
  // Both at one moment: the phases add up to the step.
  return Report(result, step_->timers().FinishStep(), SecondsSince(start));
}

StepRecord Trainer::Report(const StepResult& result, const PhaseSeconds& time, double seconds) {
  const routing::RouterOptions& router = options_.model.moe.router;
  StepRecord record = ReportStep(result, router.num_experts, step_->placement(), step_->locality());
  record.tokens_seen = position_.tokens_seen;
  record.step_seconds = seconds;
  record.tokens_per_second = static_cast<double>(result.tokens) / seconds;
  if (gemm_rate_ > 0.0) {
    record.mfu = TrainingFlopsPerToken(options_.model, options_.batch.sequence_length) *
                 record.tokens_per_second / gemm_rate_;
  }
  record.time = time;
  step_seconds_ += seconds;
  run_tokens_ += result.tokens;
  summary_.last_step = position_.step;
  summary_.tokens_seen = position_.tokens_seen;
  summary_.tokens_per_second = static_cast<double>(run_tokens_) / step_seconds_;
  return record;
}

absl::StatusOr<ValidationRecord> Trainer::Validate() {
  const SampleSource source = [&](uint64_t index, std::span<int32_t> tokens,
                                  int* domain) -> absl::Status {
    int number = 0;
    EQ_RETURN_IF_ERROR(windows_->Get(static_cast<int64_t>(index), tokens, &number));
    *domain = validation_domain_[static_cast<size_t>(number)];
    return absl::OkStatus();
  };
  const HomeOfSample home = [this](uint64_t index, int domain) {
    return samples_->HomeOfHeldOut(index, domain);
  };
  EQ_ASSIGN_OR_RETURN(const EvaluationResult result,
                      step_->Evaluate(source, windows_->size(), home));
  const double bytes_per_token = run_.validation_data->vocab_size() == kByteVocabSize ? 1.0 : 0.0;
  return ReportValidation(result, domains_, bytes_per_token);
}

absl::Status Trainer::Save(bool last) {
  const Clock::time_point start = Clock::now();
  const absl::StatusOr<std::string> path = checkpoint_->Save(position_);
  if (!path.ok() && last) {
    return absl::FailedPreconditionError(absl::StrCat(
        "training is done, but its last checkpoint could not be written, and what was learnt "
        "since ",
        saved_step_ > 0 ? absl::StrCat("step ", saved_step_) : std::string("the start"),
        " is lost: ", path.status().message()));
  }
  if (!path.ok()) {
    // The same on every rank. What was saved before is still there: the run goes on.
    Warn({absl::StrCat("no checkpoint of step ", position_.step, ": ", path.status().message())});
    return absl::OkStatus();
  }
  saved_step_ = position_.step;
  if (!first_rank()) return absl::OkStatus();
  const absl::Status pruned = directory_.Prune(std::max<int64_t>(options_.checkpoint.keep, 1));
  if (run_.observer == nullptr) return absl::OkStatus();
  if (!pruned.ok()) run_.observer->OnWarning(std::string(pruned.message()));
  run_.observer->OnCheckpoint(position_.step, *path, SecondsSince(start));
  return absl::OkStatus();
}

StopReason Trainer::Vote() const {
  if (run_.stop_requested && run_.stop_requested()) return StopReason::kRequest;
  // Clocks differ: the first rank whose time is up decides for all.
  const bool time_is_up = SecondsSince(start_) >= absl::ToDoubleSeconds(options_.time_limit);
  return time_is_up ? StopReason::kTime : StopReason::kNone;
}

}  // namespace

absl::StatusOr<TrainSummary> Train(Device& device, comm::Communicator& world,
                                   const TrainOptions& options, const TrainRun& run) {
  EQ_CHECK(run.data != nullptr && run.files != nullptr);
  Trainer trainer(world, options, run);
  EQ_RETURN_IF_ERROR(trainer.Prepare(device));
  EQ_RETURN_IF_ERROR(trainer.Resume());
  EQ_RETURN_IF_ERROR(trainer.Loop());
  return trainer.TakeSummary();
}

}  // namespace equipoise::parallel
