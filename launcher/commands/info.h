#ifndef EQUIPOISE_LAUNCHER_COMMANDS_INFO_H_
#define EQUIPOISE_LAUNCHER_COMMANDS_INFO_H_

#include <string>

#include "launcher/commands/command.h"

namespace equipoise::launcher {

// `equipoise info`: what was built in and, under mpirun, which rank runs on which node.
int RunInfoCommand(const Invocation& invocation);
std::string InfoHelp();

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_COMMANDS_INFO_H_
