#ifndef EQUIPOISE_CORE_DEVICE_WORKSPACE_H_
#define EQUIPOISE_CORE_DEVICE_WORKSPACE_H_

#include <cstddef>
#include <memory>

#include "absl/status/statusor.h"
#include "core/device/device.h"
#include "core/tensor/tensor_view.h"

namespace equipoise {

// A stack of memory: allocation moves a mark, release moves it back. It reserves address space
// once and never allocates again, so a training step makes no trip to the allocator however many
// rows the router sends where. Not thread-safe; one per rank and use. The device outlives it.
class Workspace {
 public:
  // Reserves `bytes` of address space on `device`; physical memory follows first use.
  static absl::StatusOr<std::unique_ptr<Workspace>> Create(Device& device, size_t bytes);
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  // An uninitialised tensor, aligned to 64 bytes, valid until its mark is released. Running past
  // the reservation is fatal: the reservation is an upper bound that its maker computed.
  TensorView Allocate(DType dtype, const Shape& shape);

  size_t mark() const { return used_; }
  // Gives back everything allocated since `mark`. REQUIRES: mark <= this->mark().
  void Release(size_t mark);

  // The most bytes that were ever in use.
  size_t high_water_bytes() const { return high_water_; }
  size_t reserved_bytes() const { return reserved_; }

 private:
  Workspace(Device* device, void* base, size_t bytes)
      : device_(device), base_(base), reserved_(bytes) {}

  Device* device_;
  void* base_;
  size_t reserved_;
  size_t used_ = 0;
  size_t high_water_ = 0;
};

// Releases, at the end of its scope, what was allocated inside it.
class WorkspaceFrame {
 public:
  explicit WorkspaceFrame(Workspace& workspace) : workspace_(workspace), mark_(workspace.mark()) {}
  ~WorkspaceFrame() { workspace_.Release(mark_); }
  WorkspaceFrame(const WorkspaceFrame&) = delete;
  WorkspaceFrame& operator=(const WorkspaceFrame&) = delete;

 private:
  Workspace& workspace_;
  size_t mark_;
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_DEVICE_WORKSPACE_H_
