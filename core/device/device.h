#ifndef EQUIPOISE_CORE_DEVICE_DEVICE_H_
#define EQUIPOISE_CORE_DEVICE_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace equipoise {

enum class DeviceKind : uint8_t { kCpu, kCuda };

// A place that owns memory and runs kernels. Thread-safe; outlives everything allocated from it.
class Device {
 public:
  virtual ~Device() = default;

  virtual DeviceKind kind() const = 0;
  // For people: "CPU, 2 cores, AVX2" or "NVIDIA H200".
  virtual std::string description() const = 0;

  // `bytes` of uninitialised memory aligned to 64 bytes; ResourceExhausted when there is none.
  virtual absl::StatusOr<void*> Allocate(size_t bytes) = 0;
  virtual void Free(void* data, size_t bytes) = 0;

  // Address space for `bytes`, of which physical memory is taken when it is first used. Workspaces
  // are made of it: their size is a bound, not a cost.
  virtual absl::StatusOr<void*> Reserve(size_t bytes) = 0;
  virtual void Unreserve(void* data, size_t bytes) = 0;

  // Sets `bytes` at `data` to zero, and copies between this device's memory and host memory. Done
  // when they return.
  virtual void Zero(void* data, size_t bytes) = 0;
  virtual void CopyToHost(void* host, const void* data, size_t bytes) = 0;
  virtual void CopyFromHost(void* data, const void* host, size_t bytes) = 0;
};

// The host's processor and memory. Kernels run on the calling thread, so `enqueued` is `done`.
std::unique_ptr<Device> MakeCpuDevice();

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_DEVICE_DEVICE_H_
