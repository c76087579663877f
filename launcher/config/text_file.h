#ifndef EQUIPOISE_LAUNCHER_CONFIG_TEXT_FILE_H_
#define EQUIPOISE_LAUNCHER_CONFIG_TEXT_FILE_H_

#include <string>

#include "absl/status/statusor.h"

namespace equipoise::launcher {

// The text of a configuration's file, or InvalidArgument with the reason, the path left out: "no
// such file; did you mean X?", "is not a file", "is larger than 1 MiB: not a configuration".
absl::StatusOr<std::string> ReadConfigText(const std::string& path);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_TEXT_FILE_H_
