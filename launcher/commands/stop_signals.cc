#include "launcher/commands/stop_signals.h"

#include "core/base/check.h"

namespace equipoise::launcher {
namespace {

// The registers that the kernel saves there may take 11 KiB (AMX).
constexpr size_t kStackBytes = 65536;

volatile std::sig_atomic_t first_signal = 0;

// Only calls that POSIX allows in a handler.
void OnSignal(int number) {
  if (first_signal == 0) {
    first_signal = number;
    return;
  }
  // Delivered when this returns.
  std::signal(number, SIG_DFL);
  raise(number);
}

}  // namespace

void StopSignals::UseOwnStack() {
  stack_t present = {};
  EQ_CHECK_EQ(sigaltstack(nullptr, &present), 0);
  if ((present.ss_flags & SS_DISABLE) == 0) return;
  stack_.resize(kStackBytes);
  stack_t own = {};
  own.ss_sp = stack_.data();
  own.ss_size = stack_.size();
  EQ_CHECK_EQ(sigaltstack(&own, nullptr), 0);
}

StopSignals::StopSignals() {
  first_signal = 0;
  UseOwnStack();
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  // A signal must not make a write to a checkpoint fail.
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  for (const int number : kSignals) sigaddset(&action.sa_mask, number);
  for (size_t i = 0; i < kSignals.size(); ++i) {
    EQ_CHECK_EQ(sigaction(kSignals[i], &action, &before_[i]), 0);
  }
}

StopSignals::~StopSignals() {
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
  if (stack_.empty()) return;
  stack_t none = {};
  none.ss_flags = SS_DISABLE;
  sigaltstack(&none, nullptr);
}

int StopSignals::first() const { return first_signal; }

const char* StopSignals::Name(int signal) {
  switch (signal) {
    case SIGTERM:
      return "SIGTERM";
    case SIGINT:
      return "SIGINT";
    default:
      return "SIGUSR1";
  }
}

}  // namespace equipoise::launcher
