#ifndef EQUIPOISE_COMM_BACKENDS_MPI_LOST_NODE_GUARD_H_
#define EQUIPOISE_COMM_BACKENDS_MPI_LOST_NODE_GUARD_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "comm/backends/mpi/progress_board.h"
#include "comm/liveness/node_watch.h"

namespace equipoise::comm {

// Ends the job soon after a node is lost, which neither MPI nor mpirun would. Every node's first
// rank listens for the other nodes' beats; the node's other ranks learn of a loss from the progress
// board. Then, in this order:
//   1. the surviving node with the lowest number prints which node is gone, once;
//   2. every wait of every rank ends with Unavailable (see Loss), so that ranks can write down why;
//   3. after a moment each process ends itself with kAbortExitCode, whatever it is doing;
//   4. an mpirun on a surviving node that waits for the lost one is killed, as are daemons of an
//      mpirun that is lost; one that notices such losses itself (MpirunNoticesAfter) is given the
//      time to end the job.
// Its thread makes no MPI calls. Loss() and End() may be called from any thread.
class LostNodeGuard {
 public:
  // Collective over MPI_COMM_WORLD; rank 0's `limit` counts. Null when there is only one node or
  // the limit is zero, or after a line on stderr when the network gives no socket. `board` must
  // outlive it.
  static absl::StatusOr<std::unique_ptr<LostNodeGuard>> Create(ProgressBoard* board,
                                                               absl::Duration limit);
  ~LostNodeGuard();

  // What there is to tell of lost nodes; nothing while all are well. Cheap.
  std::optional<std::string> Loss() const;
  // Waits for the end of this process, which comes when a node is lost.
  [[noreturn]] void End() const;
  // Before MPI is finalised, collective: nobody is judged any more when this returns, on any rank.
  absl::Status Finish();

  // What a rank tells the others of itself and its node, as bytes.
  struct Card {
    int first_rank = 0;  // of its node
    bool has_mpirun = false;
    char host[64] = {};
    HeartbeatContact contact = {};
  };
  struct Node {
    std::string host;
    std::vector<int> ranks;
    bool has_mpirun = false;
  };

 private:
  LostNodeGuard(ProgressBoard* board, absl::Duration limit) : board_(board), limit_(limit) {}

  // Collective. Takes down who lives where; the contacts of all nodes.
  std::vector<HeartbeatContact> SortCards(const std::vector<Card>& cards);
  void Start(std::unique_ptr<HeartbeatSocket> socket, const JobToken& token,
             std::vector<HeartbeatContact> contacts);
  bool IsJudge() const { return rank_ == nodes_[node_].ranks.front(); }
  // Whether no lower rank of this node is there to do it.
  bool Speaks() const;
  void OnLost(const std::vector<size_t>& lost);
  void OnTick();
  std::string Describe(const std::vector<size_t>& lost) const;
  // Whether this node's mpirun, or daemon, would wait for ever for one of `lost`.
  bool ParentWaitsFor(const std::vector<size_t>& lost) const;
  // What will become of mpirun.
  std::string DescribeEnd(const std::vector<size_t>& lost) const;
  bool MpirunNoticesSoon() const;
  [[noreturn]] void EndProcess() const;

  ProgressBoard* const board_;
  const absl::Duration limit_;
  int rank_ = 0;
  size_t node_ = 0;
  std::vector<Node> nodes_;
  // The thread's.
  std::optional<std::chrono::steady_clock::time_point> end_at_;
  bool kills_parent_ = false;
  std::unique_ptr<NodeWatch> watch_;
};

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_BACKENDS_MPI_LOST_NODE_GUARD_H_
