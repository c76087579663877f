#include "launcher/commands/fields.h"

#include <cstdio>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "launcher/commands/exit_code.h"
#include "launcher/commands/flags.h"
#include "launcher/config/field_table.h"

ABSL_FLAG(bool, sweep, false, "The fields of a sweep file instead.");

namespace equipoise::launcher {
namespace {

std::vector<FlagUse> FlagUses() { return {{"sweep", ""}}; }

}  // namespace

std::string FieldsHelp() {
  return absl::StrCat(
      "Usage: equipoise fields [--sweep]\n\n"
      "Lists every field of a configuration with its type, default, unit, range and meaning, in\n"
      "Markdown.\n\n",
      DescribeFlags(FlagUses()));
}

int RunFieldsCommand(const Invocation& invocation) {
  const absl::Status flags = ParseFlags(invocation.arguments, FlagUses());
  if (!flags.ok()) {
    return FailJob(invocation.launch,
                   absl::StrCat(flags.message(), "\nequipoise fields --help says more."),
                   ExitCode::kConfig);
  }
  const std::string table = absl::GetFlag(FLAGS_sweep) ? SweepFieldTable() : FieldTable();
  if (invocation.launch.rank == 0) std::fputs(table.c_str(), stdout);
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace equipoise::launcher
