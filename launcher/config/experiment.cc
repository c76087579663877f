#include "launcher/config/experiment.h"

#include "absl/strings/str_cat.h"
#include "core/io/hash.h"

namespace equipoise::launcher {

std::string Experiment::hash() const {
  std::string text;
  for (const auto& [path, value] : fields) absl::StrAppend(&text, path, ": ", value, "\n");
  return HashToHex(Xxh3(text));
}

std::vector<std::string> DifferencesOf(const Experiment& there, const Experiment& here) {
  std::vector<std::string> differences;
  for (const auto& [path, value] : there.fields) {
    const auto found = here.fields.find(path);
    if (found == here.fields.end() || found->second == value) continue;
    differences.push_back(absl::StrCat(path, " is ", value, " there and ", found->second, " here"));
  }
  return differences;
}

}  // namespace equipoise::launcher
