#ifndef EQUIPOISE_LAUNCHER_SWEEP_TRIAL_RUNNER_H_
#define EQUIPOISE_LAUNCHER_SWEEP_TRIAL_RUNNER_H_

#include <deque>
#include <functional>
#include <ios>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "launcher/config/sweep_spec.h"
#include "launcher/sweep/child_process.h"
#include "launcher/sweep/signal_watch.h"
#include "launcher/sweep/trial_grid.h"
#include "launcher/sweep/trial_store.h"

namespace equipoise::launcher {

// Decides which running trials are not worth going on with.
class TrialJudge {
 public:
  virtual ~TrialJudge() = default;
  // Why trial `id`, which is running, should end now; "" if it should go on.
  virtual std::string ReasonToStop(const std::string& id) = 0;
};

struct RunnerOptions {
  // The program and its first arguments; `train --config=... --run_dir=...` follows them.
  std::vector<std::string> program;
  SweepTrialOptions trial;
  int jobs = 1;  // trials at a time
  // From asking a trial to end until it is killed: long enough to write a checkpoint.
  absl::Duration grace = absl::Seconds(60);
  // How long trials that another job is at are waited for when nothing else is left to do.
  absl::Duration busy_patience = absl::Seconds(30);
  // Takes a line for people.
  std::function<void(const std::string&)> say;
  TrialJudge* judge = nullptr;  // not owned; null: every trial runs to its end
};

// What came of a call of TrialRunner::Run.
struct RunnerResult {
  int finished = 0;
  int stopped = 0;                                           // by the judge
  std::vector<std::pair<const Trial*, std::string>> failed;  // with the reason
  int failed_for_good = 0;  // of `failed`: they would fail the same way again
  int unfinished = 0;       // neither: the runner was asked to end before
  bool asked_to_stop = false;
};

// InvalidArgument, with the place in the sweep file, if trials of several ranks could not be
// started because there is no program like the first word of `mpirun`.
absl::Status CheckMpirun(const SweepTrialOptions& options);

// Runs trials as processes of this machine, some at a time. A trial that fails is tried again as
// often as its options say, and never keeps another from running. SIGINT, SIGTERM or the STOP file
// end it: it asks the trials to end, waits for them, and returns; calling it again later with the
// trials that are left goes on. Belongs to one thread, of a process that has no other.
class TrialRunner {
 public:
  // `axes`: for people. All references outlive it.
  TrialRunner(TrialStore& store, FileSystem& files, const std::vector<SweepAxis>& axes,
              RunnerOptions options)
      : store_(store), files_(files), axes_(axes), options_(std::move(options)) {}

  // Runs `trials`, which are not finished. `attempts`: how often each has been tried so far. An
  // error only when the directory cannot be written; the trials have been ended then.
  absl::StatusOr<RunnerResult> Run(const std::vector<Trial>& trials,
                                   const std::map<std::string, int>& attempts);

 private:
  enum class EndAsked { kNo, kStop, kJudge, kTime };
  struct Waiting {
    const Trial* trial;
    int attempt;  // of the next start
    int retries_left;
    bool told_busy = false;  // that another job trains it
  };
  struct Running {
    Waiting what;
    ChildProcess process;
    absl::Time start;
    EndAsked asked = EndAsked::kNo;
    absl::Time asked_at = absl::InfiniteFuture();
    std::string reason;                // for ending it
    std::streamoff console_begin = 0;  // of what this attempt prints, in its console.log
  };

  absl::Status StartSome();
  absl::Status Start(const Waiting& waiting);
  bool IsDoneByAnother(const Waiting& waiting);
  absl::Status ReapEnded();
  absl::Status Conclude(Running& running, const ProcessEnd& end);
  absl::Status ConcludeFailure(Running& running, const ProcessEnd& end, TrialEvent event);
  // The last line that the trial itself has printed; empty if none.
  std::string LastWords(const Running& running) const;
  void EndOverdue();
  void AskToEnd(Running& running, EndAsked why, const std::string& reason);
  void StopAll();
  bool GaveUpOnBusy();
  bool IsBusy(const Trial& trial) const;
  std::vector<std::string> CommandOf(const Trial& trial) const;
  std::string Describe(const Trial& trial) const;
  int num_done() const;

  TrialStore& store_;
  FileSystem& files_;
  const std::vector<SweepAxis>& axes_;
  const RunnerOptions options_;
  std::deque<Waiting> waiting_;
  std::list<Running> running_;
  RunnerResult result_;
  size_t num_trials_ = 0;
  absl::Time idle_since_ = absl::InfiniteFuture();
};

// Why a process failed, for people: "exit code 3 (data)", "killed by signal 9".
std::string DescribeEnd(const ProcessEnd& end);
// Whether a trial that ended so would do the same again.
bool IsPermanent(const ProcessEnd& end);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_SWEEP_TRIAL_RUNNER_H_
