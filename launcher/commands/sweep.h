#ifndef EQUIPOISE_LAUNCHER_COMMANDS_SWEEP_H_
#define EQUIPOISE_LAUNCHER_COMMANDS_SWEEP_H_

#include <string>

#include "launcher/commands/command.h"

namespace equipoise::launcher {

// `equipoise sweep run|status|stop|report`: many runs from one file; docs/experiments.md.
int RunSweepCommand(const Invocation& invocation);
std::string SweepHelp();

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_COMMANDS_SWEEP_H_
