#include "core/data/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace equipoise {
namespace {

absl::Status SystemError(int error, const std::string& path, const char* action) {
  return absl::ErrnoToStatus(error, absl::StrCat(path, ": cannot ", action));
}

absl::StatusOr<std::span<const std::byte>> MapDescriptor(int descriptor, const std::string& path) {
  struct stat info = {};
  if (fstat(descriptor, &info) != 0) return SystemError(errno, path, "read the size");
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": expected a regular file, found a ", S_ISDIR(info.st_mode) ? "directory" : "device",
        "; name the files in it, for example with a pattern (", path, "/*.txt)"));
  }
  const size_t size = static_cast<size_t>(info.st_size);
  if (size == 0) return std::span<const std::byte>();
  void* address = mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor, 0);
  if (address == MAP_FAILED) return SystemError(errno, path, "map into memory");
  return std::span<const std::byte>(static_cast<const std::byte*>(address), size);
}

}  // namespace

absl::StatusOr<std::unique_ptr<MappedFile>> MappedFile::Open(const std::string& path) {
  // O_NONBLOCK: a pipe without a writer is refused below instead of blocking here.
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return SystemError(errno, path, "open");
  absl::StatusOr<std::span<const std::byte>> bytes = MapDescriptor(descriptor, path);
  close(descriptor);  // The mapping keeps the file alive.
  if (!bytes.ok()) return std::move(bytes).status();
  return std::unique_ptr<MappedFile>(new MappedFile(path, *bytes));
}

MappedFile::MappedFile(std::string path, std::span<const std::byte> bytes)
    : path_(std::move(path)), bytes_(bytes) {}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

bool PathExists(const std::string& path) {
  struct stat info = {};
  return stat(path.c_str(), &info) == 0;
}

}  // namespace equipoise
