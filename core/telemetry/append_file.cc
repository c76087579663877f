#include "core/telemetry/append_file.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace equipoise {

absl::StatusOr<std::unique_ptr<AppendFile>> AppendFile::Open(FileSystem& file_system,
                                                             const std::string& path,
                                                             uint64_t size) {
  if (file_system.Exists(path)) {
    EQ_ASSIGN_OR_RETURN(const uint64_t old_size, file_system.FileSize(path));
    if (size < old_size) EQ_RETURN_IF_ERROR(file_system.Truncate(path, size));
  }
  EQ_ASSIGN_OR_RETURN(auto file, file_system.OpenAppend(path));
  return std::unique_ptr<AppendFile>(new AppendFile(file_system, path, std::move(file), size));
}

absl::Status AppendFile::Append(std::span<const std::byte> record) {
  if (torn_) {
    EQ_RETURN_IF_ERROR(file_system_.Truncate(path_, size_));
    torn_ = false;
  }
  const absl::Status status = file_->Append(record);
  if (status.ok()) {
    size_ += record.size();
    return status;
  }
  // Half a record must not stay if the run ends before an append succeeds again.
  torn_ = !file_system_.Truncate(path_, size_).ok();
  return status;
}

absl::StatusOr<std::string> SetAside(FileSystem& file_system, const std::string& path) {
  if (!file_system.Exists(path)) return std::string();
  const absl::StatusOr<std::vector<std::string>> names = file_system.List(path);
  if (names.ok() && names->empty()) return std::string();
  if (!names.ok()) {
    EQ_ASSIGN_OR_RETURN(const uint64_t size, file_system.FileSize(path));
    if (size == 0) return std::string();
  }
  int number = 1;
  while (file_system.Exists(absl::StrCat(path, ".", number))) ++number;
  const std::string kept = absl::StrCat(path, ".", number);
  EQ_RETURN_IF_ERROR(file_system.Rename(path, kept));
  return kept;
}

}  // namespace equipoise
