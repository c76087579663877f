#ifndef EQUIPOISE_CORE_IO_FILE_SYSTEM_H_
#define EQUIPOISE_CORE_IO_FILE_SYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace equipoise {

// A file being written, from its start or (OpenAppend) after its end. Not thread-safe. The
// destructor closes without syncing; call Sync and Close to know that the bytes arrived.
class WritableFile {
 public:
  virtual ~WritableFile() = default;

  // On error, a prefix of `bytes` may have been written.
  virtual absl::Status Append(std::span<const std::byte> bytes) = 0;
  // Done when everything appended survives a power loss, like fsync(2). The file's name does so
  // only after FileSystem::SyncDirectory on its directory.
  virtual absl::Status Sync() = 0;
  // No other call may follow. The handle is released on error too.
  virtual absl::Status Close() = 0;

  absl::Status Append(std::string_view text) {
    return Append(std::as_bytes(std::span<const char>(text.data(), text.size())));
  }
};

// The bytes of a file, mapped or held; valid while this object lives. Thread-safe.
class FileView {
 public:
  virtual ~FileView() = default;
  virtual std::span<const std::byte> bytes() const = 0;

  std::string_view text() const {
    return {reinterpret_cast<const char*>(bytes().data()), bytes().size()};
  }
};

// The few file operations that Equipoise's own formats need, so that tests can replace the disk
// (core/io/in_memory_file_system.h) and fail any one of them. Thread-safe. Every error names the
// operation, the path and the system's own text; its code is absl::ErrnoToStatusCode's
// (NotFound, PermissionDenied, ResourceExhausted for a full disk, ...).
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // Like `mkdir -p`: OK if `path` is a directory already.
  virtual absl::Status CreateDirectories(const std::string& path) = 0;
  // An empty file at `path`, whatever was there before.
  virtual absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) = 0;
  // Appends to `path`, which is made if it does not exist.
  virtual absl::StatusOr<std::unique_ptr<WritableFile>> OpenAppend(const std::string& path) = 0;
  // Cuts a file. REQUIRES: size <= the file's size.
  virtual absl::Status Truncate(const std::string& path, uint64_t size) = 0;
  // Atomic, like rename(2): replaces a file, or an empty directory by a directory.
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  // Both names stay and swap what they stand for. Atomic where the kernel and file system can
  // (renameat2), else two renames through a third name.
  virtual absl::Status Exchange(const std::string& a, const std::string& b) = 0;
  // Names made, renamed or removed in `path` survive a power loss, like fsync(2) of a directory.
  virtual absl::Status SyncDirectory(const std::string& path) = 0;
  // OK if there is nothing at `path`. Directories go with all they hold.
  virtual absl::Status RemoveAll(const std::string& path) = 0;

  // Names in a directory without "." and "..", sorted.
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& path) const = 0;
  virtual bool Exists(const std::string& path) const = 0;
  // Bytes of a regular file; an error for anything else.
  virtual absl::StatusOr<uint64_t> FileSize(const std::string& path) const = 0;
  // Maps a regular file for reading. The file must not shrink while the view lives.
  virtual absl::StatusOr<std::unique_ptr<FileView>> Map(const std::string& path) const = 0;
};

// The machine's own files. Stateless; make as many as you like.
std::unique_ptr<FileSystem> NewPosixFileSystem();

// "a/b" of ("a", "b"); `name` alone if `directory` is empty.
std::string JoinPath(std::string_view directory, std::string_view name);
// Of "a/b/c" the directory "a/b" and the name "c"; of "c" "." and "c".
std::string DirectoryOf(std::string_view path);
std::string BaseNameOf(std::string_view path);

// `digits` hexadecimal digits from the system's entropy, for names that must not collide. Never
// part of a computation. REQUIRES: digits <= 16.
std::string RandomHex(int digits);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_IO_FILE_SYSTEM_H_
