#ifndef EQUIPOISE_CORE_DATA_MAPPED_FILE_H_
#define EQUIPOISE_CORE_DATA_MAPPED_FILE_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "absl/status/statusor.h"

namespace equipoise {

// A regular file mapped read-only into memory; the mapping lives as long as the object. Const
// access is thread-safe. The file must not shrink while it is mapped: the kernel then answers a
// read past the new end with SIGBUS, so replace a file by renaming a new one over it.
class MappedFile {
 public:
  // NotFound, PermissionDenied and the like with the path and the system's own text; a directory
  // or another special file is InvalidArgument. An empty file gives an empty span.
  static absl::StatusOr<std::unique_ptr<MappedFile>> Open(const std::string& path);

  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  MappedFile(std::string path, std::span<const std::byte> bytes);

  const std::string path_;
  const std::span<const std::byte> bytes_;
};

// Whether `path` names something that exists (a directory counts).
bool PathExists(const std::string& path);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_DATA_MAPPED_FILE_H_
