#include "launcher/commands/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace equipoise::launcher {
namespace {

// Who only asks whether it is held holds it for an instant.
constexpr int kTries = 4;
constexpr absl::Duration kBetweenTries = absl::Milliseconds(5);

}  // namespace

absl::StatusOr<RunLock> RunLock::Take(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot open the lock ", path));
  }
  RunLock lock(descriptor);
  for (int tries = 0; tries < kTries; ++tries) {
    if (tries > 0) absl::SleepFor(kBetweenTries);
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) return lock;
    if (errno != EWOULDBLOCK) break;
  }
  if (errno == EWOULDBLOCK) {
    return absl::FailedPreconditionError(
        absl::StrCat("another job is writing to this run directory (it holds ", path,
                     "): wait for it, or give this one a directory of its own with --run_dir"));
  }
  // File systems without locks: better to train without one than not at all.
  if (errno == ENOLCK || errno == ENOTSUP) return lock;
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot lock ", path));
}

std::optional<bool> RunLock::IsHeld(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return std::nullopt;
  const RunLock lock(descriptor);
  if (flock(descriptor, LOCK_SH | LOCK_NB) == 0) return false;
  return errno == EWOULDBLOCK ? std::optional<bool>(true) : std::nullopt;
}

RunLock::~RunLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace equipoise::launcher
