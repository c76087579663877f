#ifndef EQUIPOISE_LAUNCHER_COMMANDS_FIELDS_H_
#define EQUIPOISE_LAUNCHER_COMMANDS_FIELDS_H_

#include <string>

#include "launcher/commands/command.h"

namespace equipoise::launcher {

// `equipoise fields`: the reference of the configuration.
int RunFieldsCommand(const Invocation& invocation);
std::string FieldsHelp();

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_COMMANDS_FIELDS_H_
