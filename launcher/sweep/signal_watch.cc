#include "launcher/sweep/signal_watch.h"

#include <ctime>

namespace equipoise::launcher {

SignalWatch::SignalWatch() {
  sigemptyset(&watched_);
  for (const int signal : {SIGINT, SIGTERM, SIGCHLD}) sigaddset(&watched_, signal);
  sigprocmask(SIG_BLOCK, &watched_, &before_);
}

SignalWatch::~SignalWatch() { sigprocmask(SIG_SETMASK, &before_, nullptr); }

bool SignalWatch::WaitForStop(absl::Duration timeout) {
  const timespec time = absl::ToTimespec(timeout);
  const int signal = sigtimedwait(&watched_, nullptr, &time);
  return signal == SIGINT || signal == SIGTERM;
}

}  // namespace equipoise::launcher
