#ifndef EQUIPOISE_LAUNCHER_COMMANDS_COMMAND_H_
#define EQUIPOISE_LAUNCHER_COMMANDS_COMMAND_H_

#include <string>
#include <vector>

#include "launcher/commands/launch.h"

namespace equipoise::launcher {

// One call of the program.
struct Invocation {
  Launch launch;
  std::vector<std::string> command_line;  // all of argv, for the run directory
  std::vector<std::string> arguments;     // behind the sub-command's name
};

// A sub-command: a line of the table in main.cc.
struct Command {
  const char* name;
  const char* summary;  // one line
  std::string (*help)();
  // Returns the exit code.
  int (*run)(const Invocation& invocation);
};

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_COMMANDS_COMMAND_H_
