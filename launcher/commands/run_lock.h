#ifndef EQUIPOISE_LAUNCHER_COMMANDS_RUN_LOCK_H_
#define EQUIPOISE_LAUNCHER_COMMANDS_RUN_LOCK_H_

#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace equipoise::launcher {

// Holds a file locked (like `flock`) while it lives, so that two jobs never write into one run
// directory. The system lets go of it when the process ends, however it ends. Movable.
class RunLock {
 public:
  // Holds nothing.
  RunLock() = default;
  // FailedPrecondition when another process holds it.
  static absl::StatusOr<RunLock> Take(const std::string& path);
  // Whether some process holds it; nothing where that cannot be known: there is no such file, it
  // may not be read, or its file system has no locks.
  static std::optional<bool> IsHeld(const std::string& path);
  ~RunLock();
  RunLock(RunLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  RunLock& operator=(RunLock&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }

 private:
  explicit RunLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_COMMANDS_RUN_LOCK_H_
