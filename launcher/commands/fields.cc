#include "launcher/commands/fields.h"

#include <cstdio>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "launcher/commands/exit_code.h"
#include "launcher/commands/flags.h"
#include "launcher/config/field_table.h"

namespace equipoise::launcher {

std::string FieldsHelp() {
  return "Usage: equipoise fields\n\n"
         "Lists every field of a configuration with its type, default, unit, range and meaning, "
         "in\n"
         "Markdown.\n";
}

int RunFieldsCommand(const Invocation& invocation) {
  const absl::Status flags = ParseFlags(invocation.arguments, {});
  if (!flags.ok()) {
    return FailJob(invocation.launch,
                   absl::StrCat(flags.message(), "\nequipoise fields --help says more."),
                   ExitCode::kConfig);
  }
  if (invocation.launch.rank == 0) std::fputs(FieldTable().c_str(), stdout);
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace equipoise::launcher
