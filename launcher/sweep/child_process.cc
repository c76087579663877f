#include "launcher/sweep/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace equipoise::launcher {
namespace {

// After fork, before exec: only calls that are safe there.
[[noreturn]] void BecomeCommand(char* const* arguments, absl::string_view complaint, int log,
                                pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(kCannotStart);  // it ended before it could be watched
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null = open("/dev/null", O_RDONLY);
  if (null >= 0) dup2(null, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  execvp(arguments[0], arguments);
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, complaint.data(), complaint.size());
  _exit(kCannotStart);
}

bool IsExecutable(const std::string& path) {
  struct stat file = {};
  return stat(path.c_str(), &file) == 0 && S_ISREG(file.st_mode) && access(path.c_str(), X_OK) == 0;
}

}  // namespace

bool CanStart(const std::string& program) {
  if (program.empty()) return false;
  if (absl::StrContains(program, '/')) return IsExecutable(program);
  const char* folders = std::getenv("PATH");
  // Without PATH, as execvp has it. An empty folder is the current one.
  for (const absl::string_view folder : absl::StrSplit(folders ? folders : "/bin:/usr/bin", ':')) {
    if (IsExecutable(absl::StrCat(folder.empty() ? "." : folder, "/", program))) return true;
  }
  return false;
}

absl::StatusOr<ChildProcess> ChildProcess::Start(const std::vector<std::string>& command,
                                                 const std::string& log_path) {
  const int log = open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", log_path));
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const std::string complaint =
      absl::StrCat("cannot start '", command[0], "': no such program, or it may not be executed\n");
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) BecomeCommand(arguments.data(), complaint, log, parent);
  const int error = errno;
  close(log);
  if (pid < 0) return absl::ErrnoToStatus(error, "cannot start a process");
  setpgid(pid, pid);  // as the child does: whoever comes first
  return ChildProcess(pid);
}

ChildProcess::~ChildProcess() {
  if (pid_ < 0) return;
  Signal(SIGKILL);
  waitpid(pid_, nullptr, 0);
}

std::optional<ProcessEnd> ChildProcess::Poll() {
  int status = 0;
  const pid_t ended = waitpid(pid_, &status, WNOHANG);
  if (ended == 0 || (ended < 0 && errno == EINTR)) return std::nullopt;
  pid_ = -1;
  ProcessEnd end;
  if (ended < 0) {
    end.exit_code = kCannotStart;  // somebody else reaped it
  } else if (WIFSIGNALED(status)) {
    end.signal = WTERMSIG(status);
  } else {
    end.exit_code = WEXITSTATUS(status);
  }
  return end;
}

void ChildProcess::Signal(int signal) const { kill(-pid_, signal); }

}  // namespace equipoise::launcher
