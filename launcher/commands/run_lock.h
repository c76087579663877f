#ifndef EQUIPOISE_LAUNCHER_COMMANDS_RUN_LOCK_H_
#define EQUIPOISE_LAUNCHER_COMMANDS_RUN_LOCK_H_

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
