#ifndef EQUIPOISE_LAUNCHER_SWEEP_TRIAL_STORE_H_
#define EQUIPOISE_LAUNCHER_SWEEP_TRIAL_STORE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/io/file_system.h"
#include "launcher/config/sweep_spec.h"
#include "launcher/sweep/trial_grid.h"

namespace equipoise::launcher {

inline constexpr char kSweepPlanFile[] = "sweep.json";

// A sweep's axis and trial as sweep.json remembers them.
struct PlannedAxis {
  std::string name;
  bool is_seed = false;
};
struct PlannedTrial {
  std::string id;
  std::vector<std::string> labels;  // one an axis
  int64_t steps = 0;
};
struct SweepPlan {
  std::string name;
  std::string file;  // the sweep file, for people
  std::vector<PlannedAxis> axes;
  std::vector<PlannedTrial> trials;

  std::string Describe(const PlannedTrial& trial) const;  // "router=lpr seed=1"
};

enum class TrialState {
  kWaiting,      // never started
  kRunning,      // a process of this machine, or of another, is at it
  kFinished,     // its run directory says so
  kFailed,       // its last attempt ended by itself
  kStopped,      // by median stopping: not run again
  kInterrupted,  // it was ended, or its processes are gone: will go on
};
const char* Name(TrialState state);

// A line of trials.jsonl: something happened to a trial.
struct TrialEvent {
  std::string id;
  TrialState state = TrialState::kWaiting;
  int attempt = 0;       // from 1, over all calls of sweep run
  int64_t pid = 0;       // of a running trial
  std::string reason;    // of a failure or an end
  double seconds = 0.0;  // the attempt took
};

// What is known of a trial now.
struct TrialStatus {
  TrialState state = TrialState::kWaiting;
  int attempts = 0;
  int64_t step = 0;  // last finished, as of its STATUS.json
  std::string reason;
  std::string started = {};  // when the last attempt was, as STATUS.json writes times
};

// A sweep's directory:
//
//   sweep.json         the plan: axes, trials with their points; replaced whole
//   trials.jsonl       what happened to trials, a line each; only appended to
//   trials/<id>/       an ordinary run directory, and console.log: what the trial printed
//   LOCK               held by the `sweep run` at work
//   STOP               somebody asks it to end
//
// Any process may read it at any time; a last line that was cut off and lines that cannot be read
// are passed over. Not thread-safe. Does not own the file system.
class TrialStore {
 public:
  TrialStore(FileSystem& files, std::string path) : files_(files), path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  std::string lock_path() const { return JoinPath(path_, "LOCK"); }
  std::string stop_path() const { return JoinPath(path_, "STOP"); }
  std::string trial_path(const std::string& id) const;
  std::string console_path(const std::string& id) const;  // trials/<id>/console.log

  // Makes the directory. Call it before anything below.
  absl::Status Create();
  // Writes sweep.json. FailedPrecondition if the directory belongs to another sweep (by name).
  absl::Status WritePlan(const SweepSpec& spec, const std::vector<Trial>& trials);
  // NotFound if there is no sweep here; FailedPrecondition if a newer version wrote it; DataLoss if
  // it cannot be read.
  absl::StatusOr<SweepPlan> ReadPlan() const;

  // Makes a trial's run directory with its configuration. What is there already stays.
  absl::Status PrepareTrial(const Trial& trial);
  absl::Status Append(const TrialEvent& event);
  // Of every trial that something is known of.
  absl::StatusOr<std::map<std::string, TrialStatus>> ReadStatus(const SweepPlan& plan) const;
  // "2 earlier trials are no longer in the sweep; ...": those that `statuses` (of ReadStatus) knows
  // and `plan` does not, and whose run directories are there; "" if there are none.
  std::string DescribeEarlierTrials(const SweepPlan& plan,
                                    const std::map<std::string, TrialStatus>& statuses) const;
  // What the trial's own STATUS.json says: "running", "finished", "failed", ...
  struct RunStatus {
    std::string state;  // "" if there is none
    std::string reason;
    int64_t step = 0;
    std::string time = {};  // of writing: "2026-01-31T12:00:00Z"
  };
  RunStatus ReadRunStatus(const std::string& id) const;
  // FailedPrecondition if a newer program made the trial's run directory.
  absl::Status CheckTrialFormat(const std::string& id) const;
  // The trial's config.textproto, "" if there is none.
  std::string ReadTrialConfig(const std::string& id) const;

 private:
  FileSystem& files_;
  const std::string path_;
};

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_SWEEP_TRIAL_STORE_H_
