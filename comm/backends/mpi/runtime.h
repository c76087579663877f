#ifndef EQUIPOISE_COMM_BACKENDS_MPI_RUNTIME_H_
#define EQUIPOISE_COMM_BACKENDS_MPI_RUNTIME_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "comm/backends/mpi/lost_node_guard.h"
#include "comm/backends/mpi/progress_board.h"
#include "comm/backends/mpi/scratch_pool.h"
#include "comm/work.h"

namespace equipoise::comm {

// MPI between initialisation and finalisation. Held by the world, its communicators and their
// work, so that MPI_Finalize comes after the last of them. Belongs to the thread that made it.
class MpiRuntime {
 public:
  static absl::StatusOr<std::shared_ptr<MpiRuntime>> Create(int* argc, char*** argv,
                                                            const Patience& patience);
  ~MpiRuntime();
  MpiRuntime(const MpiRuntime&) = delete;
  MpiRuntime& operator=(const MpiRuntime&) = delete;

  ProgressBoard& board() const { return *board_; }
  ScratchPool& scratch() { return scratch_; }
  const Patience& patience() const { return patience_; }
  // A slot of the board that no communicator of this rank has, or any member of `comm`.
  // Collective over `comm`.
  absl::StatusOr<int> TakeSlot(MPI_Comm comm);

  // Unavailable when a node of the job is lost: then no wait will end well. Cheap.
  absl::Status CheckNodes() const;

  // A wait has given up: MPI still holds its buffers, and nothing can be finalised any more.
  void MarkBroken() { broken_ = true; }
  bool broken() const { return broken_; }

  // Prints `reason` once and ends every process of the job, with exit status kAbortExitCode.
  void Abort(int rank, const std::string& reason);

 private:
  explicit MpiRuntime(const Patience& patience) : patience_(patience) {}

  const Patience patience_;
  std::unique_ptr<ProgressBoard> board_;
  std::unique_ptr<LostNodeGuard> guard_;  // null: nobody looks for lost nodes
  ScratchPool scratch_;
  int next_slot_ = 0;
  bool broken_ = false;
  bool aborting_ = false;
};

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_BACKENDS_MPI_RUNTIME_H_
