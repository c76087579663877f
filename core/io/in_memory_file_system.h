#ifndef EQUIPOISE_CORE_IO_IN_MEMORY_FILE_SYSTEM_H_
#define EQUIPOISE_CORE_IO_IN_MEMORY_FILE_SYSTEM_H_

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/io/file_system.h"

namespace equipoise {

// A disk in memory for tests: it fails the operations it is told to, and can lose power. Only "/"
// separates; every path is taken from the root, so "a/b" and "/a/b" are the same. Thread-safe.
//
// What survives Crash(), as POSIX promises and no more:
//  1. of a file, the bytes it had at its last Sync;
//  2. of a directory, the names it had at its last SyncDirectory (the root's always survive; names
//     CreateDirectories makes need their parent's SyncDirectory);
//  3. a name that survives leads to the file's synced bytes, even if those are none;
//  4. a directory that RemoveAll removed may come back, but empty.
class InMemoryFileSystem final : public FileSystem {
 public:
  InMemoryFileSystem();
  ~InMemoryFileSystem() override;

  // The operations that change something (Append, Sync and Close of files included), numbered from
  // zero in the order they came: [first, first + count) fail with "No space left on device", an
  // Append among them after writing the first half of its bytes.
  void FailOperations(int64_t first, int64_t count = std::numeric_limits<int64_t>::max());
  // No operation fails any more.
  void StopFailing();
  int64_t num_operations() const;
  // Power loss and restart; see above. Files open for writing must not be used afterwards.
  void Crash();

  absl::Status CreateDirectories(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<WritableFile>> OpenAppend(const std::string& path) override;
  absl::Status Truncate(const std::string& path, uint64_t size) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Exchange(const std::string& a, const std::string& b) override;
  absl::Status SyncDirectory(const std::string& path) override;
  absl::Status RemoveAll(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) const override;
  bool Exists(const std::string& path) const override;
  absl::StatusOr<uint64_t> FileSize(const std::string& path) const override;
  absl::StatusOr<std::unique_ptr<FileView>> Map(const std::string& path) const override;

 private:
  friend class InMemoryWritableFile;
  struct Node;
  using NodePtr = std::shared_ptr<Node>;

  // The next three are called with mutex_ held.

  // Counts one changing operation; an error if it is one that shall fail.
  absl::Status CountOperation(const char* operation, const std::string& path);
  // Null if there is nothing there.
  NodePtr Find(const std::string& path) const;
  // The directory that holds (or shall hold) `path`; null if it does not exist.
  NodePtr FindParent(const std::string& path) const;
  absl::StatusOr<std::unique_ptr<WritableFile>> Open(const std::string& path, bool truncate);

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  NodePtr root_;
  int64_t num_operations_ = 0;
  int64_t first_failing_ = -1;  // -1: none
  int64_t num_failing_ = 0;
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_IO_IN_MEMORY_FILE_SYSTEM_H_
