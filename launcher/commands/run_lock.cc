#include "launcher/commands/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace equipoise::launcher {

absl::StatusOr<RunLock> RunLock::Take(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot open the lock ", path));
  }
  RunLock lock(descriptor);
  if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno == EWOULDBLOCK) {
    return absl::FailedPreconditionError(
        absl::StrCat("another job is writing to this run directory (it holds ", path,
                     "): wait for it, or give this one a directory of its own with --run_dir"));
  }
  // File systems without locks: better to train without one than not at all.
  if (errno == ENOLCK || errno == ENOTSUP) return lock;
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot lock ", path));
}

RunLock::~RunLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace equipoise::launcher
