#include "launcher/commands/run_reporter.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "core/base/status_macros.h"
#include "core/telemetry/append_file.h"
#include "core/telemetry/metrics_writer.h"
#include "core/telemetry/prometheus_writer.h"
#include "core/telemetry/router_log.h"
#include "core/telemetry/router_log_writer.h"
#include "core/telemetry/step_gaps.h"
#include "core/telemetry/tensorboard_writer.h"

namespace equipoise::launcher {
namespace {

constexpr char kMetricsName[] = "metrics.jsonl";

// STATUS.json is replaced at most this often, besides checkpoints.
constexpr absl::Duration kStatusInterval = absl::Seconds(10);

// mpirun gives every rank a pseudo-terminal, wherever its own output goes: a person looks on only
// if that of the parent process is a terminal too.
bool ParentWritesToTerminal() {
  char target[64] = {};
  const std::string link = absl::StrCat("/proc/", getppid(), "/fd/1");
  if (readlink(link.c_str(), target, sizeof(target) - 1) < 0) return false;
  const absl::string_view path(target);
  return absl::StartsWith(path, "/dev/pts/") || absl::StartsWith(path, "/dev/tty");
}

bool ProgressBarOf(ProgressBar choice) {
  if (choice != ProgressBar::kAuto) return choice == ProgressBar::kOn;
  return isatty(STDOUT_FILENO) == 1 && ParentWritesToTerminal();
}

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "localhost";
}

// Whether the files in a run directory have anything of a step, be it damaged. A start that ended
// before its first step leaves a row of its validation and an empty log.
bool HoldsSteps(const FileSystem& files, const RunDirectory& directory) {
  const auto metrics = files.Map(directory.metrics_path());
  StepGaps damage;
  if (metrics.ok()) {
    const std::string_view text = (*metrics)->text();
    if (BytesUpToStep(text, 0, &damage) < text.size() || !damage.empty()) return true;
  }
  const auto log_bytes = files.FileSize(JoinPath(directory.path(), kRouterLogName));
  return log_bytes.ok() && *log_bytes > router_log::kFileHeaderBytes;
}

std::string DescribeValidation(const ValidationRecord& record) {
  std::string text =
      absl::StrCat("loss ", FormatLoss(record.loss), std::isfinite(record.loss) ? " nats" : "");
  if (std::isfinite(record.loss) && record.bits_per_byte.has_value()) {
    absl::StrAppendFormat(&text, ", %.4f bits per byte", *record.bits_per_byte);
  }
  for (const DomainLoss& domain : record.domains) {
    absl::StrAppend(&text, "  ", domain.domain, " ",
                    std::isfinite(domain.loss) ? absl::StrFormat("%.3f", domain.loss)
                                               : FormatLoss(domain.loss));
  }
  return text;
}

}  // namespace

RunReporter::RunReporter(FileSystem& files, const RunDirectory& directory, Logger& logger,
                         const RunOptions& options, EarlierRun earlier)
    : files_(files),
      directory_(directory),
      logger_(logger),
      sinks_([this](const std::string& text) { OnWarning(text); }),
      telemetry_(options.telemetry),
      starts_over_(options.train.checkpoint.resume == "never"),
      earlier_(std::move(earlier)),
      step_(directory.last_step()) {
  ConsoleOptions console;
  console.out = stdout;
  console.progress_bar = ProgressBarOf(options.telemetry.progress);
  console.every_steps = options.telemetry.console_every_steps;
  console.total_steps = options.train.steps;
  console_.emplace(console);
}

absl::Status RunReporter::KeepEarlierFiles() {
  if (!starts_over_ && !HoldsSteps(files_, directory_)) return absl::OkStatus();
  std::vector<std::string> kept;
  for (const char* name : {kMetricsName, kRouterLogName, kRouterIndexName, kTensorboardFolder}) {
    EQ_ASSIGN_OR_RETURN(std::string path, SetAside(files_, JoinPath(directory_.path(), name)));
    if (!path.empty()) kept.push_back(std::move(path));
  }
  if (kept.empty()) return absl::OkStatus();
  const std::string names = absl::StrJoin(kept, ", ");
  if (starts_over_) {
    OnWarning(absl::StrCat("starting over in the directory of an earlier run, as ",
                           "checkpoint.resume is \"never\"; its metrics are now ", names));
  } else {
    OnWarning(absl::StrCat("'", directory_.path(), "' has steps of an earlier run, but no ",
                           "checkpoint to go on from: starting over at step 0; its metrics are ",
                           "now ", names, ". If its checkpoints are elsewhere, end this run, put ",
                           "them back in ", directory_.checkpoint_path(), " and these files under ",
                           "their names, and start again; a new run is better off in a --run_dir ",
                           "of its own"));
  }
  return absl::OkStatus();
}

void RunReporter::OpenSinks(int64_t step, std::vector<std::string>& lost) {
  const int64_t kept = step == 0 ? MetricsWriter::kFreshStart : step;
  const auto tell = [&lost](const char* name, const StepGaps& gaps) {
    if (!gaps.empty()) lost.push_back(absl::StrCat(name, ": ", gaps.Describe()));
  };
  StepGaps gaps;
  sinks_.Add(kMetricsName, MetricsWriter::Open(files_, directory_.metrics_path(), kept, &gaps));
  tell(kMetricsName, gaps);
  if (telemetry_.router_log) {
    gaps = StepGaps();
    sinks_.Add(kRouterLogName, RouterLogWriter::Open(files_, directory_.path(), kept, &gaps));
    tell(kRouterLogName, gaps);
  }
  if (telemetry_.tensorboard) {
    sinks_.Add("TensorBoard",
               TensorboardWriter::Open(files_, {JoinPath(directory_.path(), kTensorboardFolder),
                                                kept, HostName(), absl::Now}));
  }
  if (telemetry_.prometheus) {
    PrometheusWriter::Options options;
    options.directory = telemetry_.prometheus_directory.empty()
                            ? JoinPath(directory_.path(), "prom")
                            : telemetry_.prometheus_directory;
    options.run = BaseNameOf(directory_.path());
    options.now = absl::Now;
    sinks_.Add("Prometheus' file", PrometheusWriter::Open(files_, options));
  }
}

void RunReporter::Record(RunEvent event, const std::string& text) {
  if (!has_started_ && event == RunEvent::kWarning) early_warnings_.push_back(text);
  if (!events_.has_value()) return;
  const absl::Status written = events_->Write(event, absl::Now(), step_, text);
  if (written.ok()) return;
  events_.reset();
  logger_.Warning(absl::StrCat("events.jsonl ends here: ", written.message()));
}

void RunReporter::OpenEvents() {
  absl::StatusOr<EventLog> events = EventLog::Open(files_, directory_.path());
  if (events.ok()) {
    events_.emplace(*std::move(events));
  } else {
    logger_.Warning(absl::StrCat("no events.jsonl of this run: ", events.status().message()));
  }
}

void RunReporter::WarnOfDamage() {
  if (earlier_.damage.empty()) return;
  OnWarning(absl::StrCat("the run directory '", directory_.path(),
                         "' has lost some of the run: ", absl::StrJoin(earlier_.damage, "; "),
                         ". The run goes on, but its report and figures lack that. If there is a ",
                         "backup, end the run, put the files back and start again"));
}

void RunReporter::OnStart(int64_t step, const std::string& checkpoint) {
  if (!has_begun()) {
    const absl::Status begun = directory_.Begin(*earlier_.unwritten);
    earlier_.unwritten.reset();
    if (!begun.ok()) OnWarning(std::string(begun.message()));
  }
  step_ = step;
  OpenEvents();
  has_started_ = true;
  const std::string resumed = absl::StrCat("resumed after step ", step, " from ", checkpoint);
  Record(RunEvent::kStart, checkpoint.empty() ? "" : resumed);
  for (const std::string& warning : early_warnings_) Record(RunEvent::kWarning, warning);
  early_warnings_.clear();
  const bool is_first = starts_over_ || step == 0;
  const absl::Status kept = is_first ? KeepEarlierFiles() : absl::OkStatus();
  std::vector<std::string> lost;
  if (kept.ok()) {
    OpenSinks(step, lost);
  } else {
    OnWarning(absl::StrCat("no metrics of this run: ", kept.message()));
  }
  // A run that begins with the checkpoint of another one has no steps before it.
  if (checkpoint.empty() || DirectoryOf(checkpoint) != directory_.checkpoint_path()) lost.clear();
  earlier_.damage.insert(earlier_.damage.end(), lost.begin(), lost.end());
  WarnOfDamage();
  if (checkpoint.empty()) return;
  console_->Print(resumed);
  logger_.Info(resumed);
}

void RunReporter::OnNetwork(const comm::Topology& topology, const comm::LinkModel& links,
                            const comm::LinkModel& given) {
  RunNetwork network;
  network.topology = topology.ToString();
  network.piece_bytes.assign(comm::Link::kSizes.begin(), comm::Link::kSizes.end());
  for (int i = 0; i < comm::kNumLinkClasses; ++i) {
    const auto link = static_cast<comm::LinkClass>(i);
    if (!links[link].known()) continue;
    const auto& rates = links[link].seconds_per_byte;
    network.links.push_back({std::string(comm::Name(link)),
                             !given[link].known(),
                             links[link].latency,
                             {rates.begin(), rates.end()}});
  }
  const absl::Status written = directory_.WriteNetwork(network);
  if (!written.ok()) OnWarning(absl::StrCat("no links in run.json: ", written.message()));
  const std::string missing = given.Missing(topology);
  if (missing.empty() || links.empty()) return;
  OnWarning(absl::StrCat("layout.links does not say what these links of the job cost: ", missing,
                         "; they were measured now, so predictions, and what exchange \"auto\" ",
                         "chooses by them, may differ from run to run. `equipoise info ",
                         "--links=FILE` under the same mpirun writes all of them"));
}

void RunReporter::OnStep(const StepRecord& record) {
  step_ = record.step;
  console_->Show(record);
  sinks_.Write(record);
  if (record.validation.has_value()) Announce(record.step, *record.validation);
  if (absl::Now() - status_time_ >= kStatusInterval) WriteStatus();
}

void RunReporter::WriteStatus() {
  status_time_ = absl::Now();
  const absl::Status written = directory_.WriteStatus({RunState::kRunning, "", step_});
  if (!written.ok()) logger_.Warning(std::string(written.message()));
}

void RunReporter::OnValidation(int64_t step, int64_t tokens_seen, const ValidationRecord& record) {
  Announce(step, record);
  // A resumed run has that row already, with the step it resumes from.
  if (step == 0) sinks_.WriteValidation(step, tokens_seen, record);
}

void RunReporter::Announce(int64_t step, const ValidationRecord& record) {
  const std::string text =
      absl::StrCat("validation at step ", step, ": ", DescribeValidation(record));
  console_->Print(text);
  logger_.Info(text);
  const bool is_finite = std::isfinite(record.loss);
  if (was_finite_ && !is_finite) {
    OnWarning(absl::StrCat("the validation loss of step ", step, " is not finite: the model has ",
                           "diverged. Lower the learning rate and go on from an earlier ",
                           "checkpoint, with checkpoint.resume=PATH in a new --run_dir"));
  }
  was_finite_ = is_finite;
}

void RunReporter::OnCheckpoint(int64_t step, const std::string& path, double seconds) {
  const std::string text =
      absl::StrFormat("checkpoint of step %d in %s (%.1f s)", step, path, seconds);
  console_->Print(text);
  logger_.Info(text);
  Record(RunEvent::kCheckpoint, text);
  WriteStatus();
}

void RunReporter::OnEnd(const std::string& text) {
  sinks_.Finish();
  Record(RunEvent::kEnd, text);
}

void RunReporter::OnWarning(const std::string& text) {
  console_->Print(absl::StrCat("warning: ", text));
  logger_.Warning(text);
  Record(RunEvent::kWarning, text);
}

}  // namespace equipoise::launcher
