#ifndef EQUIPOISE_CORE_TELEMETRY_RUN_DIRECTORY_H_
#define EQUIPOISE_CORE_TELEMETRY_RUN_DIRECTORY_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/log.h"
#include "core/io/file_system.h"

namespace equipoise {

// The resolved configuration of the last start, in a run directory.
inline constexpr char kResolvedConfigFile[] = "config.textproto";
// Every start of the run, with its configuration's hash.
inline constexpr char kRunRecordFile[] = "run.json";

// How far the last start that was not refused has come.
inline constexpr char kRunStatusFile[] = "STATUS.json";

// Of run.json, and so of the whole directory: what older programs cannot read gets another.
inline constexpr int kRunDirectoryFormat = 1;

// What a run directory is made from and remembers in config.textproto, overrides.txt and run.json.
struct RunDirectoryOptions {
  // The directory. Empty: "<runs>/<config_name>-<UTC yyyymmdd-hhmmss>-<4 hex of the config's
  // hash>", where an existing directory is never taken.
  std::string path;
  std::string runs = "runs";
  std::string config_name = "run";        // of the configuration's file, without folder and ending
  std::string config_text;                // the resolved configuration
  std::vector<std::string> overrides;     // as given on the command line, one a line in the file
  std::vector<std::string> command_line;  // argv
  // "NAME=value", as in environ; only names that IsRecordedVariable are kept.
  std::vector<std::string> environment;
  std::map<std::string, std::string> versions;  // of us, the compiler, libraries
  std::vector<std::string> hosts;               // one a rank
  absl::Time start_time = absl::UnixEpoch();
};

// What a start of the run moved its data over, as it was known.
struct RunNetwork {
  struct Link {
    std::string name;                      // of the class
    bool measured = false;                 // else given by the configuration
    double latency = 0.0;                  // seconds a message
    std::vector<double> seconds_per_byte;  // for pieces of each of piece_bytes
  };
  std::string topology;  // ranks, nodes and groups of nodes, for people
  std::vector<double> piece_bytes;
  std::vector<Link> links;
};

enum class RunState {
  kRunning,
  kFinished,
  kFailed,
  kStopped,  // before its last step because somebody asked; can go on
};

struct RunStatus {
  RunState state = RunState::kRunning;
  std::string reason;  // of a failure; why a run ended early
  int64_t step = 0;    // last finished
};

// The directory that keeps all that a run leaves behind; docs/telemetry.md lists its files.
// Thread-safe. Does not own the file system.
class RunDirectory {
 public:
  // Makes the directory (or takes the one there) and writes everything but the metrics. One rank
  // calls this, the others Attach to its path. An error says what failed, where, the system's text,
  // and what to do; FailedPrecondition and nothing changed for a directory of a newer program.
  // Whether the run that was there may go on with this configuration is the caller's to check; the
  // configuration of the last start is kept, and STATUS.json keeps its step. A run.json that cannot
  // be read is set aside.
  static absl::StatusOr<RunDirectory> Create(FileSystem& file_system,
                                             const RunDirectoryOptions& options);
  // Writes what this start of the run is, as Create does: for a run that is there already, once
  // nothing can refuse the start any more.
  absl::Status Begin(const RunDirectoryOptions& options) const;
  // One that Create made on this or another rank; touches no disk.
  static RunDirectory Attach(FileSystem& file_system, std::string path);

  const std::string& path() const { return path_; }
  std::string metrics_path() const { return JoinPath(path_, "metrics.jsonl"); }
  std::string checkpoint_path() const { return JoinPath(path_, "ckpt"); }
  std::string log_path(int rank) const;  // log/rank00000.log

  // Appends to this rank's log, always on the machine's own disk.
  absl::StatusOr<std::unique_ptr<Logger>> OpenLog(int rank, LogLevel console_level) const;
  // Adds the network to the last start in run.json.
  absl::Status WriteNetwork(const RunNetwork& network) const;
  // Replaces STATUS.json.
  absl::Status WriteStatus(const RunStatus& status) const;
  // The last finished step, as STATUS.json has it; 0 if it has none.
  int64_t last_step() const;

 private:
  RunDirectory(FileSystem& file_system, std::string path)
      : file_system_(&file_system), path_(std::move(path)) {}

  FileSystem* file_system_;
  std::string path_;
};

// What run.json tells of a run.
struct RunRecord {
  enum class State { kMissing, kEmpty, kDamaged, kWhole };
  State state = State::kMissing;
  std::vector<std::string> config_hashes = {};  // of its starts, the first one first
};
RunRecord ReadRunRecord(const FileSystem& file_system, const std::string& path);

// FailedPrecondition if a newer program made the run directory at `path`: this one must neither
// read nor change it. A missing or unreadable run.json says nothing.
absl::Status CheckRunDirectoryFormat(const FileSystem& file_system, const std::string& path);

// `status`, met at the run directory `path`, with what to do.
absl::Status UnusableRunDirectory(const std::string& path, const absl::Status& status);

// XXH3-64 of the resolved configuration's text, 16 hexadecimal digits.
std::string ConfigHash(const std::string& config_text);
// OMPI_*, PMIX_*, SLURM_*, NCCL_*, CUDA_*, OMP_*, but nothing that sounds like a secret.
bool IsRecordedVariable(const std::string& name);
// This process's environment, for RunDirectoryOptions.
std::vector<std::string> CurrentEnvironment();

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_TELEMETRY_RUN_DIRECTORY_H_
