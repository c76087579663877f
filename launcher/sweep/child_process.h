#ifndef EQUIPOISE_LAUNCHER_SWEEP_CHILD_PROCESS_H_
#define EQUIPOISE_LAUNCHER_SWEEP_CHILD_PROCESS_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace equipoise::launcher {

// How a process ended.
struct ProcessEnd {
  int exit_code = 0;  // of one that ended by itself
  int signal = 0;     // of one that was killed, else 0
  bool ok() const { return exit_code == 0 && signal == 0; }
};

// Whether a command that begins with `program` can be started: a file that may be executed, at this
// path if there is a slash in it, else in a folder of PATH.
bool CanStart(const std::string& program);

// What a shell says of a command that it cannot start, and ours that cannot be.
inline constexpr int kCannotStart = 127;

// A program that was started, with the processes it starts in turn: they have a process group of
// their own, so that a Ctrl-C at the terminal reaches them only through us. The system ends it
// (SIGTERM) when the thread that started it ends, however that happens. Its destructor kills and
// reaps what still runs. Movable; belongs to the thread that started it.
class ChildProcess {
 public:
  // Starts `command`, looked for in PATH. It reads nothing; what it prints is appended to
  // `log_path`. REQUIRES: this process has one thread.
  static absl::StatusOr<ChildProcess> Start(const std::vector<std::string>& command,
                                            const std::string& log_path);
  ~ChildProcess();
  ChildProcess(ChildProcess&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  ChildProcess& operator=(ChildProcess&& other) noexcept {
    std::swap(pid_, other.pid_);
    return *this;
  }

  pid_t pid() const { return pid_; }
  // How it ended; nothing while it runs. Call it no more after that.
  std::optional<ProcessEnd> Poll();
  // Sends a signal to the whole group.
  void Signal(int signal) const;

 private:
  explicit ChildProcess(pid_t pid) : pid_(pid) {}
  pid_t pid_ = -1;  // -1: ended and reaped
};

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_SWEEP_CHILD_PROCESS_H_
