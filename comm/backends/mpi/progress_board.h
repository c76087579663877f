#ifndef EQUIPOISE_COMM_BACKENDS_MPI_PROGRESS_BOARD_H_
#define EQUIPOISE_COMM_BACKENDS_MPI_PROGRESS_BOARD_H_

#include <mpi.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace equipoise::comm {

// Memory that the ranks of one node share, in which each says how many collectives it has entered
// on each of its communicators. MPI itself cannot tell a waiting rank who is missing; this can,
// without a message and without the missing rank's help. Beside the counts each leaves the time of
// its last sign of life. One per process; used by its MPI thread.
class ProgressBoard {
 public:
  // Communicators per rank that can be followed; of later ones nothing is known.
  static constexpr int kSlots = 64;

  // Collective over `world`.
  static absl::StatusOr<std::unique_ptr<ProgressBoard>> Create(MPI_Comm world);
  // Collective over `world`; before MPI_Finalize.
  ~ProgressBoard();
  ProgressBoard(const ProgressBoard&) = delete;
  ProgressBoard& operator=(const ProgressBoard&) = delete;

  // This rank has entered `count` collectives on the communicator of `slot`.
  void Publish(int slot, uint64_t count);
  // What `world_rank` has published, or nothing when it is on another node.
  std::optional<uint64_t> Read(int world_rank, int slot) const;

  // This rank lives: it is inside the transport just now. Called by every poll of a wait.
  void Beat();
  // How long `world_rank` has not been inside the transport, because it computes, is stopped or
  // gone; nothing when it is on another node.
  std::optional<absl::Duration> SilentFor(int world_rank) const;

  // What follows is for the thread of the lost-node guard; from any thread.
  // This rank's guard runs. And how long that of `world_rank`, of this node, has not.
  void BeatGuard();
  absl::Duration GuardSilentFor(int world_rank) const;
  // What this rank knows of lost nodes, in the guard's coding; 0: nothing. And what `world_rank`,
  // of this node, does.
  void PublishLoss(uint64_t loss);
  uint64_t ReadLoss(int world_rank) const;

  // The ranks of this node, in the order of the world.
  const std::vector<int>& node_ranks() const { return node_ranks_; }

 private:
  ProgressBoard() = default;
  absl::Status MapNode(MPI_Comm world);
  uint64_t* WordsOf(int world_rank) const {
    return slots_of_rank_[static_cast<size_t>(world_rank)];
  }

  MPI_Comm node_ = MPI_COMM_NULL;
  MPI_Win window_ = MPI_WIN_NULL;
  uint64_t* mine_ = nullptr;
  std::vector<uint64_t*> slots_of_rank_;  // [world size], null on other nodes
  std::vector<int> node_ranks_;
};

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_BACKENDS_MPI_PROGRESS_BOARD_H_
