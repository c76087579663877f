#ifndef EQUIPOISE_CORE_TELEMETRY_APPEND_FILE_H_
#define EQUIPOISE_CORE_TELEMETRY_APPEND_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/io/file_system.h"

namespace equipoise {

// A file that grows by whole records: what a failing append leaves of one is cut off again, at once
// where that works, else before the next append. Others may read it all the while. Not thread-safe.
// The file system must outlive it.
class AppendFile {
 public:
  // Opens `path`, or makes it, and cuts it to its first `size` bytes. REQUIRES: `size` is at most
  // the file's size; 0 for a new file.
  static absl::StatusOr<std::unique_ptr<AppendFile>> Open(FileSystem& file_system,
                                                          const std::string& path, uint64_t size);

  // In the system's hands when this returns, all of it or, on error, nothing.
  absl::Status Append(std::span<const std::byte> record);
  absl::Status Append(std::string_view record) {
    return Append(std::as_bytes(std::span<const char>(record.data(), record.size())));
  }

  uint64_t size() const { return size_; }  // of the whole records

 private:
  AppendFile(FileSystem& file_system, std::string path, std::unique_ptr<WritableFile> file,
             uint64_t size)
      : file_system_(file_system), path_(std::move(path)), file_(std::move(file)), size_(size) {}

  FileSystem& file_system_;
  const std::string path_;
  std::unique_ptr<WritableFile> file_;
  uint64_t size_;
  bool torn_ = false;  // the file may hold more than `size_` bytes
};

// Gives the file or folder at `path`, if it holds anything, the first free name of path.1, path.2,
// ...: that name, or nothing if there was nothing to keep.
absl::StatusOr<std::string> SetAside(FileSystem& file_system, const std::string& path);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_TELEMETRY_APPEND_FILE_H_
