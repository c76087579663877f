#ifndef EQUIPOISE_LAUNCHER_COMMANDS_REPORT_H_
#define EQUIPOISE_LAUNCHER_COMMANDS_REPORT_H_

#include <string>

#include "launcher/commands/command.h"

namespace equipoise::launcher {

// `equipoise report`: runs and sweeps as one HTML page; docs/experiments.md.
int RunReportCommand(const Invocation& invocation);
std::string ReportHelp();

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_COMMANDS_REPORT_H_
