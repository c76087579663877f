#include "launcher/report/liveness.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/io/file_system.h"
#include "core/telemetry/console.h"
#include "launcher/commands/run_lock.h"

namespace equipoise::launcher {
namespace {

std::optional<absl::Duration> AgeOf(const std::string& path) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) return std::nullopt;
  // Clocks of two machines may differ.
  return std::max(absl::Now() - absl::TimeFromTimespec(info.st_mtim), absl::ZeroDuration());
}

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "";
}

std::string Describe(const std::optional<absl::Duration>& silence) {
  if (!silence.has_value()) return "no step yet";
  return absl::StrCat("no step for ", FormatDuration(absl::ToDoubleSeconds(*silence)));
}

}  // namespace

Liveness JudgeLiveness(const std::string& run_directory, const std::string& host) {
  Liveness result;
  result.silence = AgeOf(JoinPath(run_directory, "metrics.jsonl"));
  const std::optional<absl::Duration> status = AgeOf(JoinPath(run_directory, "STATUS.json"));
  // A start that has no step yet has written its status.
  if (status.has_value()) result.silence = std::min(result.silence.value_or(*status), *status);
  const bool is_silent = result.silence.value_or(absl::ZeroDuration()) > kLongestSilence;
  const std::optional<bool> held = RunLock::IsHeld(JoinPath(run_directory, "LOCK"));
  if (held == true) return result;
  if (!held.has_value()) {
    if (is_silent) {
      result.doubt = absl::StrCat(Describe(result.silence), "; whether its job is still there is ",
                                  "not known: it has no lock to ask");
    }
    return result;
  }
  const bool is_here = host.empty() || host == HostName();
  result.is_gone = is_here || is_silent;
  if (!is_here) {
    result.doubt = absl::StrCat(Describe(result.silence), "; it was started on ", host,
                                ", whose lock may not be seen on this machine");
  }
  return result;
}

}  // namespace equipoise::launcher
