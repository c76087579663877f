#ifndef EQUIPOISE_LAUNCHER_COMMANDS_TRAIN_H_
#define EQUIPOISE_LAUNCHER_COMMANDS_TRAIN_H_

#include <string>

#include "launcher/commands/command.h"

namespace equipoise::launcher {

// `equipoise train`: checks a configuration, then prints it, or trains.
int RunTrainCommand(const Invocation& invocation);
std::string TrainHelp();

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_COMMANDS_TRAIN_H_
