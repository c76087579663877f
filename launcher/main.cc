// equipoise: one program, a sub-command for each job.

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "launcher/commands/command.h"
#include "launcher/commands/exit_code.h"
#include "launcher/commands/fields.h"
#include "launcher/commands/info.h"
#include "launcher/commands/launch.h"
#include "launcher/commands/report.h"
#include "launcher/commands/sweep.h"
#include "launcher/commands/telemetry.h"
#include "launcher/commands/top.h"
#include "launcher/commands/train.h"
#include "launcher/config/suggest.h"
#include "launcher/version.h"

namespace equipoise::launcher {
namespace {

constexpr Command kCommands[] = {
    {"train", "train a model from a configuration file", TrainHelp, RunTrainCommand},
    {"sweep", "run many trainings that differ in a few fields", SweepHelp, RunSweepCommand},
    {"report", "write runs or sweeps as one HTML page", ReportHelp, RunReportCommand},
    {"top", "show a run on the terminal while it goes on", TopHelp, RunTopCommand},
    {"telemetry", "print what a run recorded of its experts' load", TelemetryHelp,
     RunTelemetryCommand},
    {"fields", "list every field of a configuration", FieldsHelp, RunFieldsCommand},
    {"info", "print what was built in, and the nodes of a job", InfoHelp, RunInfoCommand},
};

std::string Help() {
  std::string text =
      "Equipoise trains Mixture-of-Experts language models across machines with mpirun.\n\n"
      "Usage: [mpirun -np RANKS] equipoise COMMAND [--flag=value]...\n\nCommands:\n";
  for (const Command& command : kCommands) {
    absl::StrAppendFormat(&text, "  %-9s  %s\n", command.name, command.summary);
  }
  absl::StrAppend(
      &text, "\n`equipoise COMMAND --help` says more of each. A first run, on four processes:\n",
      "  mpirun -np 4 equipoise train --config configs/presets/quickstart.textproto\n"
      "Ready configurations are in configs/presets; docs/configuration.md explains every field.\n");
  return text;
}

const Command* FindCommand(const std::string& name) {
  for (const Command& command : kCommands) {
    if (name == command.name) return &command;
  }
  return nullptr;
}

bool IsHelp(const std::string& word) { return word == "--help" || word == "-h" || word == "help"; }

// Prints what was asked for, once per job.
int Print(const Launch& launch, const std::string& text) {
  if (launch.rank == 0) std::fputs(text.c_str(), stdout);
  return static_cast<int>(ExitCode::kDone);
}

int FailUnknown(const Launch& launch, const std::string& name) {
  std::vector<std::string> known;
  for (const Command& command : kCommands) known.emplace_back(command.name);
  return FailJob(launch,
                 absl::StrCat("no command '", name, "'", DidYouMean(name, known),
                              "\nequipoise --help lists all commands."),
                 ExitCode::kConfig);
}

int Main(std::vector<std::string> words) {
  Invocation invocation;
  invocation.launch = DetectLaunch(std::getenv);
  invocation.command_line = words;
  if (words.size() < 2) return FailJob(invocation.launch, Help(), ExitCode::kConfig);
  const bool is_help = IsHelp(words[1]);
  if (is_help && words.size() == 2) return Print(invocation.launch, Help());
  if (words[1] == "--version") {
    return Print(invocation.launch, absl::StrCat("equipoise ", kVersion, "\n"));
  }
  const std::string& name = words[is_help ? 2 : 1];
  const Command* command = FindCommand(name);
  if (command == nullptr) return FailUnknown(invocation.launch, name);
  invocation.arguments.assign(words.begin() + 2, words.end());
  for (const std::string& argument : invocation.arguments) {
    if (is_help || argument == "--help" || argument == "-h") {
      return Print(invocation.launch, command->help());
    }
  }
  return command->run(invocation);
}

}  // namespace
}  // namespace equipoise::launcher

int main(int argc, char** argv) {
  // Who stops reading (`train | head`) must not end a run; the write says so as well.
  std::signal(SIGPIPE, SIG_IGN);
  return equipoise::launcher::Main(std::vector<std::string>(argv, argv + argc));
}
