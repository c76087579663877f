#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/io/file_system.h"

namespace equipoise {
namespace {

absl::Status Failed(const char* operation, const std::string& path, int error_number) {
  return absl::ErrnoToStatus(error_number, absl::StrCat("cannot ", operation, " '", path, "'"));
}

class PosixWritableFile final : public WritableFile {
 public:
  PosixWritableFile(std::string path, int descriptor)
      : path_(std::move(path)), descriptor_(descriptor) {}
  ~PosixWritableFile() override {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  using WritableFile::Append;
  absl::Status Append(std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
      if (written < 0) {
        if (errno == EINTR) continue;
        return Failed("write to", path_, errno);
      }
      bytes = bytes.subspan(static_cast<size_t>(written));
    }
    return absl::OkStatus();
  }

  absl::Status Sync() override {
    if (::fsync(descriptor_) != 0) return Failed("sync", path_, errno);
    return absl::OkStatus();
  }

  absl::Status Close() override {
    // Linux releases the descriptor even when close(2) reports an error.
    const int result = ::close(std::exchange(descriptor_, -1));
    return result != 0 ? Failed("close", path_, errno) : absl::OkStatus();
  }

 private:
  const std::string path_;
  int descriptor_;
};

class MappedFile final : public FileView {
 public:
  MappedFile(void* address, size_t size) : address_(address), size_(size) {}
  ~MappedFile() override {
    if (size_ > 0) ::munmap(address_, size_);
  }
  std::span<const std::byte> bytes() const override {
    return {static_cast<const std::byte*>(address_), size_};
  }

 private:
  void* const address_;
  const size_t size_;
};

// Closes a descriptor at the end of a scope.
class DescriptorCloser {
 public:
  explicit DescriptorCloser(int descriptor) : descriptor_(descriptor) {}
  ~DescriptorCloser() { ::close(descriptor_); }
  DescriptorCloser(const DescriptorCloser&) = delete;
  DescriptorCloser& operator=(const DescriptorCloser&) = delete;

 private:
  const int descriptor_;
};

class PosixFileSystem final : public FileSystem {
 public:
  absl::Status CreateDirectories(const std::string& path) override {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) return Failed("create directory", path, error.value());
    if (!std::filesystem::is_directory(path, error)) {
      return Failed("create directory", path, ENOTDIR);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override {
    return Open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC);
  }

  absl::StatusOr<std::unique_ptr<WritableFile>> OpenAppend(const std::string& path) override {
    return Open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC);
  }

  absl::Status Truncate(const std::string& path, uint64_t size) override {
    if (::truncate(path.c_str(), static_cast<off_t>(size)) != 0) {
      return Failed("truncate", path, errno);
    }
    return absl::OkStatus();
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    if (std::rename(from.c_str(), to.c_str()) != 0) {
      return Failed(absl::StrCat("rename '", from, "' to").c_str(), to, errno);
    }
    return absl::OkStatus();
  }

  absl::Status Exchange(const std::string& a, const std::string& b) override {
    if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0) {
      return absl::OkStatus();
    }
    if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP) {
      return Failed(absl::StrCat("exchange '", a, "' with").c_str(), b, errno);
    }
    const std::string aside = absl::StrCat(a, ".swap-", RandomHex(8));
    EQ_RETURN_IF_ERROR(Rename(b, aside));
    EQ_RETURN_IF_ERROR(Rename(a, b));
    return Rename(aside, a);
  }

  absl::Status SyncDirectory(const std::string& path) override {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return Failed("open directory", path, errno);
    const DescriptorCloser closer(descriptor);
    // Some network file systems have no fsync for directories and answer EINVAL.
    if (::fsync(descriptor) != 0 && errno != EINVAL) return Failed("sync directory", path, errno);
    return absl::OkStatus();
  }

  absl::Status RemoveAll(const std::string& path) override {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error) return Failed("remove", path, error.value());
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<std::string>> List(const std::string& path) const override {
    std::error_code error;
    std::vector<std::string> names;
    std::filesystem::directory_iterator entry(path, error);
    while (!error && entry != std::filesystem::directory_iterator()) {
      names.push_back(entry->path().filename().string());
      entry.increment(error);
    }
    if (error) return Failed("list directory", path, error.value());
    std::sort(names.begin(), names.end());
    return names;
  }

  bool Exists(const std::string& path) const override {
    struct stat info;
    return ::lstat(path.c_str(), &info) == 0;
  }

  absl::StatusOr<uint64_t> FileSize(const std::string& path) const override {
    struct stat info;
    if (::stat(path.c_str(), &info) != 0) return Failed("read", path, errno);
    if (S_ISDIR(info.st_mode)) return Failed("read", path, EISDIR);
    if (!S_ISREG(info.st_mode)) return Failed("read (not a regular file)", path, EINVAL);
    return static_cast<uint64_t>(info.st_size);
  }

  absl::StatusOr<std::unique_ptr<FileView>> Map(const std::string& path) const override {
    EQ_ASSIGN_OR_RETURN(const uint64_t size, FileSize(path));
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return Failed("open", path, errno);
    const DescriptorCloser closer(descriptor);
    if (size == 0) return std::make_unique<MappedFile>(nullptr, 0);
    void* address = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor, 0);
    if (address == MAP_FAILED) return Failed("map", path, errno);
    return std::make_unique<MappedFile>(address, size);
  }

 private:
  static absl::StatusOr<std::unique_ptr<WritableFile>> Open(const std::string& path, int flags) {
    const int descriptor = ::open(path.c_str(), flags, 0644);
    if (descriptor < 0) return Failed("create", path, errno);
    return std::make_unique<PosixWritableFile>(path, descriptor);
  }
};

}  // namespace

std::unique_ptr<FileSystem> NewPosixFileSystem() { return std::make_unique<PosixFileSystem>(); }

}  // namespace equipoise
