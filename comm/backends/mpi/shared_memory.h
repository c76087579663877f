#ifndef EQUIPOISE_COMM_BACKENDS_MPI_SHARED_MEMORY_H_
#define EQUIPOISE_COMM_BACKENDS_MPI_SHARED_MEMORY_H_

#include <mpi.h>

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "comm/backends/mpi/runtime.h"
#include "comm/shared_memory.h"

namespace equipoise::comm {

// A window of memory that the ranks of one node share (MPI-3, unified memory model). Its pages are
// there when it is made, each near the core of its owner: nobody meets a full file system later.
class MpiSharedMemory final : public SharedMemory {
 public:
  // Collective over `comm`, whose ranks have met: blocks without a clock. `bytes` of it are this
  // rank's.
  static absl::StatusOr<std::unique_ptr<SharedMemory>> Create(std::shared_ptr<MpiRuntime> runtime,
                                                              MPI_Comm comm, size_t bytes);
  // Collective, unless the runtime is broken.
  ~MpiSharedMemory() override;

  std::span<std::byte> of(int rank) const override { return parts_[static_cast<size_t>(rank)]; }

 private:
  explicit MpiSharedMemory(std::shared_ptr<MpiRuntime> runtime) : runtime_(std::move(runtime)) {}
  absl::Status Allocate(MPI_Comm comm, size_t bytes);
  absl::Status MapParts(MPI_Comm comm);

  const std::shared_ptr<MpiRuntime> runtime_;
  MPI_Win window_ = MPI_WIN_NULL;
  std::vector<std::span<std::byte>> parts_;  // [size of comm]
};

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_BACKENDS_MPI_SHARED_MEMORY_H_
