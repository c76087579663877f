#ifndef EQUIPOISE_LAUNCHER_SWEEP_SIGNAL_WATCH_H_
#define EQUIPOISE_LAUNCHER_SWEEP_SIGNAL_WATCH_H_

#include <signal.h>

#include "absl/time/time.h"

namespace equipoise::launcher {

// Collects the signals that tell a scheduler something, instead of letting them end the process:
// SIGINT and SIGTERM (stop), SIGCHLD (a child ended). While it lives they are blocked in the thread
// that made it; before and after, they mean what they meant. REQUIRES: this process has one thread.
class SignalWatch {
 public:
  SignalWatch();
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

  // Sleeps until a signal comes, at most `timeout`. Whether it was one to stop.
  bool WaitForStop(absl::Duration timeout);

 private:
  sigset_t watched_;
  sigset_t before_;
};

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_SWEEP_SIGNAL_WATCH_H_
