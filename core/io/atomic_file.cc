#include "core/io/atomic_file.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/base/status_macros.h"

namespace equipoise {

absl::Status WriteSyncedFile(FileSystem& file_system, const std::string& path,
                             std::string_view contents) {
  EQ_ASSIGN_OR_RETURN(auto file, file_system.Create(path));
  EQ_RETURN_IF_ERROR(file->Append(contents));
  EQ_RETURN_IF_ERROR(file->Sync());
  return file->Close();
}

absl::Status WriteFileAtomically(FileSystem& file_system, const std::string& path,
                                 std::string_view contents) {
  const std::string temporary = absl::StrCat(path, ".tmp-", RandomHex(8));
  absl::Status status = WriteSyncedFile(file_system, temporary, contents);
  if (status.ok()) status = file_system.Rename(temporary, path);
  if (!status.ok()) {
    // The first error is the one worth reporting; a temporary file that stays harms nobody.
    file_system.RemoveAll(temporary).IgnoreError();
    // It names the file that its reader knows.
    return absl::Status(status.code(), absl::StrReplaceAll(status.message(), {{temporary, path}}));
  }
  return file_system.SyncDirectory(DirectoryOf(path));
}

}  // namespace equipoise
