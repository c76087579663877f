#include "launcher/config/provenance.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace equipoise::launcher {
namespace {

// Whether `path` lies below `root`, or is it.
bool IsBelow(absl::string_view path, absl::string_view root) {
  if (!absl::StartsWith(path, root)) return false;
  return path.size() == root.size() || path[root.size()] == '.' || path[root.size()] == '[';
}

}  // namespace

void Provenance::Write(const std::string& path, const Location& where) {
  written_.insert_or_assign(path, Writing{where, num_texts_});
}

void Provenance::Erase(const std::string& path) {
  std::erase_if(written_, [&](const auto& entry) { return IsBelow(entry.first, path); });
  std::erase_if(broken_, [&](const std::string& entry) { return IsBelow(entry, path); });
}

bool Provenance::IsBroken(const std::string& path) const {
  for (absl::string_view at = path; !at.empty(); at = ParentPath(at)) {
    if (broken_.count(at) > 0) return true;
  }
  return false;
}

int Provenance::TextOf(const std::string& path) const {
  const auto found = written_.find(path);
  return found == written_.end() ? 0 : found->second.text;
}

std::vector<std::string> Provenance::WrittenAfter(int num_texts) const {
  std::vector<std::string> paths;
  for (const auto& [path, writing] : written_) {
    if (writing.text <= num_texts) continue;
    // In the map's order what lies below a block comes behind it, though not always right behind.
    while (!paths.empty() && IsBelow(path, paths.back())) paths.pop_back();
    paths.push_back(path);
  }
  return paths;
}

Location Provenance::Find(absl::string_view path) const {
  for (absl::string_view at = path; !at.empty(); at = ParentPath(at)) {
    const auto found = written_.find(at);
    if (found != written_.end()) return found->second.where;
  }
  return fallback_;
}

std::string JoinPath(const std::string& parent, absl::string_view name) {
  return parent.empty() ? std::string(name) : absl::StrCat(parent, ".", name);
}

absl::string_view ParentPath(absl::string_view path) {
  const size_t end = path.find_last_of(".[");
  return end == absl::string_view::npos ? absl::string_view() : path.substr(0, end);
}

}  // namespace equipoise::launcher
