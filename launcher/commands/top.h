#ifndef EQUIPOISE_LAUNCHER_COMMANDS_TOP_H_
#define EQUIPOISE_LAUNCHER_COMMANDS_TOP_H_

#include <string>

#include "launcher/commands/command.h"

namespace equipoise::launcher {

// `equipoise top`: a run on the terminal while it goes on; docs/telemetry.md.
int RunTopCommand(const Invocation& invocation);
std::string TopHelp();

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_COMMANDS_TOP_H_
