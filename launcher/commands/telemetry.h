#ifndef EQUIPOISE_LAUNCHER_COMMANDS_TELEMETRY_H_
#define EQUIPOISE_LAUNCHER_COMMANDS_TELEMETRY_H_

#include <string>

#include "launcher/commands/command.h"

namespace equipoise::launcher {

// `equipoise telemetry dump`: router.bin as text; docs/telemetry.md.
int RunTelemetryCommand(const Invocation& invocation);
std::string TelemetryHelp();

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_COMMANDS_TELEMETRY_H_
