#ifndef EQUIPOISE_LAUNCHER_COMMANDS_STOP_SIGNALS_H_
#define EQUIPOISE_LAUNCHER_COMMANDS_STOP_SIGNALS_H_

#include <array>

#include <csignal>
#include <vector>

namespace equipoise::launcher {

// While it lives, the first SIGTERM, SIGINT or SIGUSR1 (which mpirun passes on without ending the
// job itself) is only noted, so that the run can end in good order; a second one of any of them
// ends the process as if nobody had handled it.
//
// Signals belong to the process, and a handler can reach only what is static: the note is the one
// piece of process-wide state of the launcher. One at a time, in the program's main thread.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // The first signal that came; 0: none.
  int first() const;

  // "SIGTERM"
  static const char* Name(int signal);

 private:
  static constexpr std::array<int, 3> kSignals = {SIGTERM, SIGINT, SIGUSR1};

  // Handlers run on a stack of their own: oneDNN's generated matrix kernels keep other things in
  // the stack pointer for a while, and a handler on the thread's own stack would then write into
  // them.
  void UseOwnStack();

  std::array<struct sigaction, kSignals.size()> before_;
  std::vector<char> stack_;  // empty if the thread had such a stack already
};

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_COMMANDS_STOP_SIGNALS_H_
