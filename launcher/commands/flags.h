#ifndef EQUIPOISE_LAUNCHER_COMMANDS_FLAGS_H_
#define EQUIPOISE_LAUNCHER_COMMANDS_FLAGS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace equipoise::launcher {

// One Abseil flag that a sub-command takes.
struct FlagUse {
  const char* name;
  const char* value_name;  // for help; "" for a boolean flag
  // Not null: the flag may be given several times, and its values go here in their order. Abseil
  // itself keeps the last only.
  std::vector<std::string>* values = nullptr;
};

// Sets the Abseil flags named in `uses` from `arguments` (--name=value, --name value, --bool,
// --nobool). What absl::ParseCommandLine lacks: flags belong to one sub-command, may be repeatable,
// and a mistake is a status that names all mistakes, with a suggestion, instead of exit(1).
// InvalidArgument, a line for each problem and no line end after the last: unknown flag, missing,
// empty or unreadable value, a flag given twice, or an argument that is no flag, unless there is a
// list of `operands` that such arguments go to, in their order.
absl::Status ParseFlags(const std::vector<std::string>& arguments, const std::vector<FlagUse>& uses,
                        std::vector<std::string>* operands = nullptr);

// A paragraph a flag, for help.
std::string DescribeFlags(const std::vector<FlagUse>& uses);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_COMMANDS_FLAGS_H_
