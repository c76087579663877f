#include "launcher/config/text_file.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "launcher/config/suggest.h"

namespace equipoise::launcher {
namespace {

namespace fs = std::filesystem;

// Far above any configuration; a data file given by mistake is not read to its end.
constexpr uintmax_t kLargestFile = 1 << 20;

// A file next to `path` whose name is like its name; "" if there is none.
std::string SimilarFile(const fs::path& path) {
  std::error_code error;
  const fs::path folder = path.parent_path();
  std::vector<std::string> names;
  for (fs::directory_iterator it(folder.empty() ? "." : folder, error), end; it != end && !error;
       it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  const std::string nearest = Nearest(path.filename().string(), names);
  return nearest.empty() ? "" : (folder / nearest).string();
}

}  // namespace

absl::StatusOr<std::string> ReadConfigText(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    const std::string similar = SimilarFile(path);
    return absl::InvalidArgumentError(absl::StrCat(
        "no such file", similar.empty() ? "" : absl::StrCat("; did you mean ", similar, "?")));
  }
  if (!fs::is_regular_file(status)) return absl::InvalidArgumentError("is not a file");
  if (fs::file_size(path, error) > kLargestFile) {
    return absl::InvalidArgumentError("is larger than 1 MiB: not a configuration");
  }
  std::ifstream stream(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  if (!stream) return absl::InvalidArgumentError(absl::StrCat("cannot be read: ", strerror(errno)));
  return text;
}

}  // namespace equipoise::launcher
