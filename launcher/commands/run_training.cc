#include "launcher/commands/run_training.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "comm/backends/mpi/communicator.h"
#include "comm/backends/self/communicator.h"
#include "comm/collectives.h"
#include "core/base/log.h"
#include "core/base/status_macros.h"
#include "core/data/dataset.h"
#include "core/device/context.h"
#include "core/io/file_system.h"
#include "core/telemetry/console_writer.h"
#include "core/telemetry/run_directory.h"
#include "launcher/commands/exit_code.h"
#include "launcher/commands/run_lock.h"
#include "launcher/commands/run_reporter.h"
#include "launcher/commands/run_summary.h"
#include "launcher/commands/same_experiment.h"
#include "launcher/commands/stop_signals.h"
#include "launcher/version.h"
#include "parallel/text_exchange.h"
#include "parallel/trainer.h"

namespace equipoise::launcher {
namespace {

// How long the end of a run waits for somebody to read its summary.
constexpr absl::Duration kSummaryPatience = absl::Seconds(2);
constexpr char kLockFile[] = "LOCK";
constexpr size_t kSetupWorkspaceBytes = size_t{1} << 24;

// The ranks of the job and what set-up needs to talk to them.
struct Job {
  std::unique_ptr<comm::MpiWorld> mpi;
  std::unique_ptr<comm::Communicator> alone;
  std::unique_ptr<Device> device = MakeCpuDevice();
  std::unique_ptr<Stream> stream = MakeCpuStream();
  std::unique_ptr<Workspace> workspace;

  comm::Communicator& world() { return mpi != nullptr ? mpi->communicator() : *alone; }
  Context context() { return {device.get(), stream.get(), workspace.get(), workspace.get()}; }
  bool reports() { return world().rank() == 0; }
};

absl::StatusOr<Job> JoinJob(const Launch& launch, const comm::Patience& patience) {
  Job job;
  if (launch.num_ranks.has_value()) {
    EQ_ASSIGN_OR_RETURN(job.mpi, comm::MpiWorld::Create(nullptr, nullptr, patience));
  } else {
    job.alone = comm::MakeSelfCommunicator();
  }
  EQ_ASSIGN_OR_RETURN(job.workspace, Workspace::Create(*job.device, kSetupWorkspaceBytes));
  return job;
}

// The files a run reads.
struct Data {
  std::unique_ptr<TokenDataset> train;
  std::unique_ptr<TokenDataset> validation;  // null: no validation
  std::unique_ptr<ValidationWindows> windows;
};

absl::StatusOr<Data> OpenData(const RunOptions& options) {
  Data data;
  EQ_ASSIGN_OR_RETURN(data.train, TokenDataset::Open(options.train.data));
  if (!options.validation_data.sources.empty()) {
    EQ_ASSIGN_OR_RETURN(data.validation, TokenDataset::Open(options.validation_data));
    data.windows = std::make_unique<ValidationWindows>(data.validation.get(),
                                                       options.train.validation.sequences);
  }
  return data;
}

// The hosts of all ranks, in rank order.
absl::StatusOr<std::vector<std::string>> GatherHosts(Job& job) {
  return parallel::GatherTexts(job.world(), job.context(), job.world().host(),
                               {.name = "names of the hosts"});
}

// The run directory and what keeps a second job out of it; held by the reporting rank.
struct OwnDirectory {
  RunDirectory directory;
  RunLock lock;
  EarlierRun earlier = {};  // on the reporting rank
};

absl::StatusOr<StoredRun> CheckDirectory(FileSystem& files, const std::string& path,
                                         const LoadedConfig& config) {
  EQ_RETURN_IF_ERROR(CheckRunDirectoryFormat(files, path));
  return CheckSameExperiment(files, path, config);
}

// A start that goes on with a run writes late: whether it will be able to is asked early.
absl::Status CheckWritable(const std::string& run_directory) {
  for (const char* folder : {"", "ckpt", "log"}) {
    const std::string path = *folder == 0 ? run_directory : JoinPath(run_directory, folder);
    if (access(path.c_str(), R_OK | W_OK | X_OK) == 0 || errno == ENOENT) continue;
    return UnusableRunDirectory(
        run_directory, absl::ErrnoToStatus(errno, absl::StrCat("'", path, "' cannot be written")));
  }
  return absl::OkStatus();
}

// A run that is there belongs to whoever holds its lock: nothing of it is written before. It is
// checked first, as a lock is a file too, and again when nobody else can change it any more.
absl::StatusOr<OwnDirectory> CreateDirectory(FileSystem& files, const RunDirectoryOptions& options,
                                             const LoadedConfig& config) {
  const std::string& path = options.path;
  absl::StatusOr<RunLock> lock = absl::NotFoundError("not taken yet");
  StoredRun stored;
  if (!path.empty()) {
    EQ_ASSIGN_OR_RETURN(stored, CheckDirectory(files, path, config));
  }
  if (stored.has_begun || (!path.empty() && files.Exists(JoinPath(path, kResolvedConfigFile)))) {
    lock = RunLock::Take(JoinPath(path, kLockFile));
    if (absl::IsFailedPrecondition(lock.status())) return lock.status();
    EQ_ASSIGN_OR_RETURN(stored, CheckDirectory(files, path, config));
    EQ_RETURN_IF_ERROR(CheckWritable(path));
    if (lock.ok() && (stored.has_begun || files.Exists(JoinPath(path, kRunStatusFile)))) {
      EQ_RETURN_IF_ERROR(files.CreateDirectories(JoinPath(path, "log")));
      return OwnDirectory{RunDirectory::Attach(files, path), *std::move(lock),
                          EarlierRun{options, std::move(stored.damage)}};
    }
  }
  // Where nothing can be written, this says so best.
  EQ_ASSIGN_OR_RETURN(RunDirectory directory, RunDirectory::Create(files, options));
  if (!lock.ok()) lock = RunLock::Take(JoinPath(directory.path(), kLockFile));
  EQ_RETURN_IF_ERROR(lock.status());
  return OwnDirectory{std::move(directory), *std::move(lock)};
}

// Makes the run directory on the reporting rank and tells the others where it is.
absl::StatusOr<OwnDirectory> MakeRunDirectory(Job& job, FileSystem& files,
                                              const LoadedConfig& config, const std::string& path,
                                              const Invocation& invocation) {
  RunDirectoryOptions options;
  options.path = path;
  options.config_name = config.options.name;
  options.config_text = config.resolved_text;
  options.overrides = config.overrides;
  options.command_line = invocation.command_line;
  options.environment = CurrentEnvironment();
  options.versions = {{"equipoise", kVersion}, {"compiler", kCompiler}};
  options.start_time = absl::Now();
  EQ_ASSIGN_OR_RETURN(options.hosts, GatherHosts(job));
  std::string made;
  RunLock lock;
  EarlierRun earlier;
  const comm::WaitOptions made_by_first = {.name = "run directory"};
  absl::Status status;
  if (job.reports()) {
    absl::StatusOr<OwnDirectory> own = CreateDirectory(files, options, config);
    status = own.status();
    if (own.ok()) {
      made = own->directory.path();
      lock = std::move(own->lock);
      earlier = std::move(own->earlier);
    }
  }
  EQ_RETURN_IF_ERROR(WithExitCode(
      comm::AgreeOnStatus(job.world(), job.context(), status, made_by_first), ExitCode::kConfig));
  EQ_ASSIGN_OR_RETURN(made,
                      parallel::BroadcastText(job.world(), job.context(), made, 0, made_by_first));
  return OwnDirectory{RunDirectory::Attach(files, made), std::move(lock), std::move(earlier)};
}

// Every node reads its own copy of the configuration's files: they must say the same.
absl::Status CheckSameConfig(Job& job, const LoadedConfig& config) {
  EQ_ASSIGN_OR_RETURN(const std::vector<std::string> hashes,
                      parallel::GatherTexts(job.world(), job.context(), config.hash,
                                            {.name = "comparing configurations"}));
  for (size_t rank = 0; rank < hashes.size(); ++rank) {
    if (hashes[rank] == hashes[0]) continue;
    EQ_ASSIGN_OR_RETURN(const std::vector<std::string> hosts, GatherHosts(job));
    return absl::InvalidArgumentError(absl::StrCat(
        "rank ", rank, " on ", hosts[rank], " reads another configuration than rank 0 on ",
        hosts[0], ": ", config.files.front(), " or a file it includes differs between them"));
  }
  return absl::OkStatus();
}

// A failure of training by its cause; see parallel::Train.
absl::Status ClassifyFailure(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kNotFound:
      return WithExitCode(status, ExitCode::kCheckpoint);
    case absl::StatusCode::kOutOfRange:
      return WithExitCode(status, ExitCode::kData);
    case absl::StatusCode::kDataLoss:
      return WithExitCode(status, ExitCode::kNumerics);
    default:
      return status;
  }
}

// Whether every rank has this failure, so that all can leave in good order. Otherwise the others
// wait for this rank in some collective, and have to be ended.
bool IsSharedFailure(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kResourceExhausted:
      return true;
    default:
      return false;
  }
}

void WriteStatus(const RunDirectory& directory, Logger& logger, const RunStatus& status) {
  const absl::Status written = directory.WriteStatus(status);
  if (!written.ok()) logger.Warning(std::string(written.message()));
}

// How a run ended, in a few words.
std::string DescribeEnd(const absl::StatusOr<parallel::TrainSummary>& summary) {
  if (!summary.ok()) return absl::StrCat("failed: ", summary.status().message());
  switch (summary->stopped) {
    case parallel::StopReason::kTime:
      return "time limit";
    case parallel::StopReason::kRequest:
      return "stopped by a signal";
    default:
      return "finished";
  }
}

// The end of a run that did not fail, in STATUS.json and on the console. `signal`: what this rank
// was told to stop by; 0: nothing.
void ReportEnd(const RunDirectory& directory, Logger& logger, const parallel::TrainSummary& summary,
               int signal, const Data& data) {
  RunStatus status = {RunState::kFinished, "", summary.last_step};
  if (summary.stopped == parallel::StopReason::kTime) status.reason = "time limit";
  if (summary.stopped == parallel::StopReason::kRequest) {
    status.state = RunState::kStopped;
    status.reason = signal != 0 ? StopSignals::Name(signal) : "a signal to another rank";
  }
  WriteStatus(directory, logger, status);
  std::string text =
      DescribeRun(summary, data.validation.get(), data.windows.get(), directory.path());
  if (status.state == RunState::kStopped) {
    absl::StrAppend(&text, "stopped by ", status.reason, ", after step ", summary.last_step,
                    "; the same command with --run_dir ", directory.path(), " goes on\n");
    logger.Info(absl::StrCat("stopped by ", status.reason, " after step ", summary.last_step));
  }
  // An mpirun that has told its ranks to stop reads no more of what they say.
  const bool in_haste = status.state == RunState::kStopped;
  ConsoleWriter(stdout).Write(text, in_haste ? ConsoleWriter::kPatience : kSummaryPatience);
}

absl::Status TrainIn(Job& job, FileSystem& files, const OwnDirectory& own,
                     const LoadedConfig& config, const Data& data, Logger& logger) {
  const RunDirectory& directory = own.directory;
  parallel::TrainRun run;
  run.data = data.train.get();
  run.validation_data = data.validation.get();
  run.files = &files;
  run.checkpoint_directory = directory.checkpoint_path();
  run.config_hash = config.hash;
  const StopSignals signals;
  run.stop_requested = [&signals] { return signals.first() != 0; };
  std::unique_ptr<RunReporter> reporter;
  if (job.reports()) {
    reporter = std::make_unique<RunReporter>(files, directory, logger, config.options, own.earlier);
    run.observer = reporter.get();
  }
  const absl::StatusOr<parallel::TrainSummary> summary =
      parallel::Train(*job.device, job.world(), config.options.train, run);
  const int64_t step = reporter == nullptr ? 0 : reporter->step();
  const bool has_begun = reporter != nullptr && reporter->has_begun();
  if (reporter != nullptr) reporter->OnEnd(DescribeEnd(summary));
  reporter.reset();
  if (!summary.ok()) {
    // For the rank's log; the console hears of it once, from the command.
    logger.Warning(absl::StrCat("the run failed: ", summary.status().message()));
    if (has_begun) {
      WriteStatus(directory, logger,
                  {RunState::kFailed, std::string(summary.status().message()), step});
    }
    return ClassifyFailure(summary.status());
  }
  if (job.reports()) ReportEnd(directory, logger, *summary, signals.first(), data);
  return summary->stopped == parallel::StopReason::kRequest ? absl::CancelledError("asked to stop")
                                                            : absl::OkStatus();
}

}  // namespace

absl::Status RunTraining(const LoadedConfig& config, const std::string& run_directory,
                         const Invocation& invocation) {
  EQ_ASSIGN_OR_RETURN(Job job, JoinJob(invocation.launch, config.options.patience));
  EQ_RETURN_IF_ERROR(CheckSameConfig(job, config));
  absl::StatusOr<Data> data = OpenData(config.options);
  EQ_RETURN_IF_ERROR(WithExitCode(comm::AgreeOnStatus(job.world(), job.context(), data.status(),
                                                      {.name = "opening the corpus"}),
                                  ExitCode::kData));
  const std::unique_ptr<FileSystem> files = NewPosixFileSystem();
  EQ_ASSIGN_OR_RETURN(const OwnDirectory own,
                      MakeRunDirectory(job, *files, config, run_directory, invocation));
  const RunDirectory& directory = own.directory;
  absl::StatusOr<std::unique_ptr<Logger>> logger =
      directory.OpenLog(job.world().rank(), LogLevel::kError);
  EQ_RETURN_IF_ERROR(WithExitCode(comm::AgreeOnStatus(job.world(), job.context(), logger.status(),
                                                      {.name = "opening the logs"}),
                                  ExitCode::kConfig));
  if (job.reports()) {
    ConsoleWriter(stdout).Write(absl::StrCat("run directory: ", directory.path(), "\n"));
  }
  const absl::Status status = TrainIn(job, *files, own, config, *data, **logger);
  if (!status.ok() && !IsSharedFailure(status)) job.world().Abort(status);
  return status;
}

}  // namespace equipoise::launcher
