#ifndef EQUIPOISE_CORE_IO_ATOMIC_FILE_H_
#define EQUIPOISE_CORE_IO_ATOMIC_FILE_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "core/io/file_system.h"

namespace equipoise {

// Writes `contents` to a new file at `path`, synced and closed; the name itself is not synced.
absl::Status WriteSyncedFile(FileSystem& file_system, const std::string& path,
                             std::string_view contents);

// Replaces the file at `path` so that a reader, and a machine that lost power at any moment, sees
// either the old contents or all of the new: a temporary file beside it is written and synced,
// renamed over `path`, and the directory is synced. On error the old file is untouched (or, if only
// the last sync failed, either) and the temporary file is removed where that still works.
absl::Status WriteFileAtomically(FileSystem& file_system, const std::string& path,
                                 std::string_view contents);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_IO_ATOMIC_FILE_H_
