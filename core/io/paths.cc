#include <random>

#include "core/base/check.h"
#include "core/io/file_system.h"

namespace equipoise {

std::string JoinPath(std::string_view directory, std::string_view name) {
  std::string path(directory);
  if (!path.empty() && path.back() != '/') path += '/';
  return path.append(name);
}

std::string DirectoryOf(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return slash == 0 ? "/" : std::string(path.substr(0, slash));
}

std::string BaseNameOf(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

std::string RandomHex(int digits) {
  EQ_CHECK(digits >= 0 && digits <= 16) << digits;
  std::random_device entropy;
  std::string text;
  for (int i = 0; i < digits; ++i) text += "0123456789abcdef"[entropy() % 16];
  return text;
}

}  // namespace equipoise
