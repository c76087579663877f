#ifndef EQUIPOISE_LAUNCHER_COMMANDS_SWEEP_STOP_H_
#define EQUIPOISE_LAUNCHER_COMMANDS_SWEEP_STOP_H_

#include <string>

#include "absl/status/status.h"

namespace equipoise::launcher {

// Asks the `sweep run` at work in `directory`, on whatever machine, to end its trials and itself,
// and waits until it has. NotFound if there is no sweep there; OK, with a word about it, if none
// is at work.
absl::Status StopSweep(const std::string& directory);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_COMMANDS_SWEEP_STOP_H_
