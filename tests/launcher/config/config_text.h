#ifndef EQUIPOISE_TESTS_LAUNCHER_CONFIG_CONFIG_TEXT_H_
#define EQUIPOISE_TESTS_LAUNCHER_CONFIG_CONFIG_TEXT_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "launcher/config/loader.h"

namespace equipoise::launcher {

// A valid configuration of 32 lines, for tests to break one line at a time.
std::string ValidText();
// ValidText() with line `line` (from 1) replaced.
std::string WithLine(int line, const std::string& text);

// Writes a file below the test's own temporary directory; returns its path.
std::string WriteConfig(const std::string& name, const std::string& text);

absl::StatusOr<LoadedConfig> Load(const std::string& path,
                                  const std::vector<std::string>& overrides = {},
                                  std::optional<int> num_ranks = std::nullopt);

// The lines of a report that begin with a place, without the folder of WriteConfig, and without
// the quoted lines.
std::vector<std::string> Problems(const absl::Status& status);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_TESTS_LAUNCHER_CONFIG_CONFIG_TEXT_H_
