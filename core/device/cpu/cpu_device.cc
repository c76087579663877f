#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/device/context.h"
#include "core/device/device.h"

namespace equipoise {
namespace {

constexpr size_t kAlignment = 64;

class CpuDevice final : public Device {
 public:
  DeviceKind kind() const override { return DeviceKind::kCpu; }

  std::string description() const override {
    return absl::StrCat("CPU, ", std::thread::hardware_concurrency(), " hardware threads");
  }

  absl::StatusOr<void*> Allocate(size_t bytes) override {
    const size_t rounded = (bytes + kAlignment) / kAlignment * kAlignment;
    void* data = std::aligned_alloc(kAlignment, rounded);
    if (data == nullptr) {
      return absl::ResourceExhaustedError(absl::StrCat("no memory for ", bytes, " bytes"));
    }
    return data;
  }

  void Free(void* data, size_t) override { std::free(data); }

  absl::StatusOr<void*> Reserve(size_t bytes) override {
    if (bytes == 0) bytes = 1;
    void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED) {
      return absl::ResourceExhaustedError(
          absl::StrCat("cannot reserve ", bytes, " bytes of address space: ", std::strerror(errno),
                       "; see ulimit -v"));
    }
    return data;
  }

  void Unreserve(void* data, size_t bytes) override { munmap(data, bytes == 0 ? 1 : bytes); }

  void Zero(void* data, size_t bytes) override {
    if (bytes > 0) std::memset(data, 0, bytes);
  }
  void CopyToHost(void* host, const void* data, size_t bytes) override {
    if (bytes > 0) std::memcpy(host, data, bytes);
  }
  void CopyFromHost(void* data, const void* host, size_t bytes) override {
    if (bytes > 0) std::memcpy(data, host, bytes);
  }
};

class CpuStream final : public Stream {
 public:
  void Synchronize() override {}
};

}  // namespace

std::unique_ptr<Device> MakeCpuDevice() { return std::make_unique<CpuDevice>(); }

std::unique_ptr<Stream> MakeCpuStream() { return std::make_unique<CpuStream>(); }

}  // namespace equipoise
