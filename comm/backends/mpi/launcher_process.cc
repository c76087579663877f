#include "comm/backends/mpi/launcher_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "comm/backends/mpi/communicator.h"

namespace equipoise::comm {
namespace {

constexpr std::array<const char*, 3> kMpirunNames = {"mpirun", "mpiexec", "orterun"};
// mpirun's daemon on other nodes than its own.
constexpr std::array<const char*, 1> kDaemonNames = {"orted"};
constexpr int64_t kMostProbes = 100;  // the system allows 127

// Only calls that are allowed after a fork, here and in what follows. `path` is of /proc/PID/comm.
template <size_t kCount>
bool IsNamed(const char* path, const std::array<const char*, kCount>& names) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  std::array<char, 32> name{};
  const ssize_t got = read(file, name.data(), name.size() - 1);
  close(file);
  if (got <= 0) return false;
  return std::any_of(names.begin(), names.end(), [&](const char* known) {
    return std::strncmp(name.data(), known, std::strlen(known)) == 0;
  });
}

bool IsLauncher(const char* path) {
  return IsNamed(path, kMpirunNames) || IsNamed(path, kDaemonNames);
}

[[noreturn]] void WaitAndKill(pid_t parent, const char* comm_path, int64_t milliseconds) {
  // Out of the ranks' process group and session, which mpirun and a terminal may signal; and out of
  // the pipes whose end mpirun waits for.
  setsid();
  for (int file = 0; file < 65536; ++file) close(file);
  for (const int number : {SIGTERM, SIGINT, SIGUSR1, SIGHUP}) signal(number, SIG_IGN);
  constexpr int64_t kStep = 50;
  for (; milliseconds > 0; milliseconds -= kStep) {
    if (!IsLauncher(comm_path)) _exit(0);  // gone, or the number is somebody else's
    const timespec pause = {0, kStep * 1000000};
    nanosleep(&pause, nullptr);
  }
  if (IsLauncher(comm_path)) kill(parent, SIGKILL);
  _exit(0);
}

// Seconds or a count from the environment.
int64_t Parameter(const char* name, int64_t fallback) {
  const char* text = std::getenv(name);
  int64_t value = 0;
  return text != nullptr && absl::SimpleAtoi(text, &value) ? value : fallback;
}

std::string CommPath(pid_t process) { return absl::StrCat("/proc/", process, "/comm"); }

}  // namespace

bool ParentIsMpirun() { return IsNamed(CommPath(getppid()).c_str(), kMpirunNames); }

absl::Duration MpirunNoticesAfter() {
  const int64_t idle = Parameter("OMPI_MCA_oob_tcp_keepalive_time", 300);
  const int64_t interval = Parameter("OMPI_MCA_oob_tcp_keepalive_intvl", 20);
  const int64_t probes = Parameter("OMPI_MCA_oob_tcp_keepalive_probes", 9);
  if (idle <= 0) return absl::InfiniteDuration();
  return absl::Seconds(idle) + interval * absl::Seconds(probes);
}

std::string MpirunNoticeFlags(absl::Duration limit) {
  // Probing starts at once and goes on for longer than the limit, so that the ranks come first and
  // can say what they know.
  const int64_t seconds = absl::ToInt64Seconds(absl::Ceil(limit, absl::Seconds(1)));
  const int64_t interval = seconds / kMostProbes + 1;
  return absl::StrCat("--mca oob_tcp_keepalive_time 1 --mca oob_tcp_keepalive_intvl ", interval,
                      " --mca oob_tcp_keepalive_probes ", seconds / interval + 2);
}

void KillParentAfter(absl::Duration patience) {
  const pid_t parent = getppid();
  const std::string path = CommPath(parent);
  if (!IsLauncher(path.c_str())) return;
  if (fork() == 0) WaitAndKill(parent, path.c_str(), absl::ToInt64Milliseconds(patience));
}

void EndThisProcess() { _exit(kAbortExitCode); }

}  // namespace equipoise::comm
