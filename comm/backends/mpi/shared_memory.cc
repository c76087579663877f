#include "comm/backends/mpi/shared_memory.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "comm/backends/mpi/status.h"
#include "core/base/status_macros.h"

namespace equipoise::comm {
namespace {

constexpr size_t kLine = 64;
constexpr uint64_t kMebibyte = uint64_t{1} << 20;

// Where OpenMPI keeps windows.
std::string Directory() {
  const char* set = std::getenv("OMPI_MCA_osc_sm_backing_directory");
  return set != nullptr ? set : "/dev/shm";
}

// OpenMPI 4.1 checks for room on one rank, and when there is none the others wait for ever: so it
// is looked at before. `bytes` of all ranks.
absl::Status CheckRoom(uint64_t bytes) {
  struct statvfs room = {};
  const std::string directory = Directory();
  if (statvfs(directory.c_str(), &room) != 0)
    return absl::OkStatus();  // it may keep them elsewhere
  const uint64_t left = static_cast<uint64_t>(room.f_bavail) * room.f_frsize;
  // OpenMPI wants some more than it needs, and pages of others may come while ours do.
  if (bytes + bytes / 8 + kMebibyte <= left) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "a window of ", bytes / kMebibyte + 1, " MiB that ranks of a node share does not fit into ",
      directory, ", which has ", left / kMebibyte, " MiB left"));
}

// Takes the pages of `memory`, all zero. The kernel writes them, which says so where there is no
// page: a store of ours would end the process with SIGBUS.
absl::Status Populate(std::span<std::byte> memory) {
  constexpr size_t kPiece = size_t{1} << 24;
  const int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  if (zero < 0) return absl::ResourceExhaustedError("cannot open /dev/zero");
  bool filled = true;
  while (filled && !memory.empty()) {
    const ssize_t done = read(zero, memory.data(), std::min(kPiece, memory.size()));
    filled = done > 0;
    if (filled) memory = memory.subspan(static_cast<size_t>(done));
  }
  close(zero);
  if (filled) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(Directory(), " is full, with ", memory.size(),
                                                   " bytes of a shared window yet to be had"));
}

// What the lowest rank says that has failed: as much as others can know without a message of text.
absl::Status Agree(MPI_Comm comm, const absl::Status& mine) {
  int failed = mine.ok() ? 0 : 1;
  EQ_RETURN_IF_MPI_ERROR(MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_MAX, comm));
  if (failed == 0 || !mine.ok()) return mine;
  return absl::ResourceExhaustedError("another rank of this node has no room for a shared window");
}

}  // namespace

absl::StatusOr<std::unique_ptr<SharedMemory>> MpiSharedMemory::Create(
    std::shared_ptr<MpiRuntime> runtime, MPI_Comm comm, size_t bytes) {
  uint64_t total = bytes;
  EQ_RETURN_IF_MPI_ERROR(MPI_Allreduce(MPI_IN_PLACE, &total, 1, MPI_UINT64_T, MPI_SUM, comm));
  EQ_RETURN_IF_ERROR(Agree(comm, CheckRoom(total)));
  std::unique_ptr<MpiSharedMemory> memory(new MpiSharedMemory(std::move(runtime)));
  EQ_RETURN_IF_ERROR(memory->Allocate(comm, bytes));
  return memory;
}

absl::Status MpiSharedMemory::Allocate(MPI_Comm comm, size_t bytes) {
  // Every part has pages of its own. They do not begin with it.
  MPI_Info info = MPI_INFO_NULL;
  EQ_RETURN_IF_MPI_ERROR(MPI_Info_create(&info));
  EQ_RETURN_IF_MPI_ERROR(MPI_Info_set(info, "alloc_shared_noncontig", "true"));
  std::byte* mine = nullptr;
  const size_t padded = (bytes / kLine + 2) * kLine;
  const absl::Status made = MpiStatus(
      MPI_Win_allocate_shared(static_cast<MPI_Aint>(padded), 1, info, comm, &mine, &window_),
      "MPI_Win_allocate_shared");
  MPI_Info_free(&info);
  EQ_RETURN_IF_ERROR(made);
  EQ_RETURN_IF_ERROR(Agree(comm, Populate({mine, padded})));
  EQ_RETURN_IF_MPI_ERROR(MPI_Win_lock_all(MPI_MODE_NOCHECK, window_));
  return MapParts(comm);
}

absl::Status MpiSharedMemory::MapParts(MPI_Comm comm) {
  int size = 0;
  EQ_RETURN_IF_MPI_ERROR(MPI_Comm_size(comm, &size));
  for (int rank = 0; rank < size; ++rank) {
    MPI_Aint bytes = 0;
    int unit = 0;
    std::byte* part = nullptr;
    EQ_RETURN_IF_MPI_ERROR(MPI_Win_shared_query(window_, rank, &bytes, &unit, &part));
    // Every process maps the window at the beginning of a page: all skip the same bytes.
    const size_t skipped = (kLine - reinterpret_cast<uintptr_t>(part) % kLine) % kLine;
    parts_.push_back(std::span(part, static_cast<size_t>(bytes)).subspan(skipped));
  }
  return absl::OkStatus();
}

MpiSharedMemory::~MpiSharedMemory() {
  if (window_ == MPI_WIN_NULL || runtime_->broken()) return;
  if (!parts_.empty()) MPI_Win_unlock_all(window_);
  MPI_Win_free(&window_);
}

}  // namespace equipoise::comm
