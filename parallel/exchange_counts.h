#ifndef EQUIPOISE_PARALLEL_EXCHANGE_COUNTS_H_
#define EQUIPOISE_PARALLEL_EXCHANGE_COUNTS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "comm/communicator.h"
#include "comm/exchange/row_exchange.h"
#include "comm/topology.h"
#include "core/device/context.h"
#include "core/tensor/tensor_view.h"
#include "routing/placement.h"

namespace equipoise::parallel {

// A chunk of a rank's tokens: a run of them.
struct TokenRange {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t size() const { return end - begin; }
};
// Chunk `chunk` of `num_chunks` of T tokens; sizes differ by at most one, and may be 0.
TokenRange ChunkOfTokens(int64_t tokens, int chunk, int num_chunks);

// What the last exchange's forward pass took on a rank: exchange_learner.h.
struct PassNanoseconds {
  int64_t elapsed = 0;  // 0: there was no pass
  int64_t alone = 0;    // of those, it computed with no transfer under way
};

// What every rank of a group sends where in one MoE layer, chunk by chunk: all that any exchange
// algorithm needs to know of other ranks before rows move, and all that a cost model needs to
// predict its time. The same on every rank. A value.
class ExchangeCounts {
 public:
  // One all-gather of 2 + num_chunks * (1 + E + R + N) numbers a rank. expert_ids I32 [T, K], -1
  // for no copy; `topology` and `placement` are those of `group`. `last_pass` travels with the
  // counts.
  static absl::StatusOr<ExchangeCounts> Gather(comm::Communicator& group, const Context& context,
                                               const comm::Topology& topology,
                                               const routing::ExpertPlacement& placement,
                                               ConstTensorView expert_ids, int num_chunks,
                                               const comm::WaitPlace& place,
                                               const PassNanoseconds& last_pass = {});

  int num_chunks() const { return static_cast<int>(num_chunks_); }
  int num_ranks() const { return static_cast<int>(num_ranks_); }
  // Of rank `source` in a chunk: tokens; copies for the expert in a slot of the placement;
  // different tokens with an expert on a rank, or on any rank of a node.
  int64_t tokens(int chunk, int source) const { return At(chunk, source, 0); }
  int64_t copies(int chunk, int source, int slot) const;
  int64_t tokens_to_rank(int chunk, int source, int rank) const;
  int64_t tokens_to_node(int chunk, int source, int node) const;

  // Copies, and different tokens, between ranks.
  comm::RowMatrix CopiesBetweenRanks(int chunk, const routing::ExpertPlacement& placement) const;
  comm::RowMatrix TokensBetweenRanks(int chunk) const;
  // [R]: as the ranks gave them to Gather.
  const std::vector<PassNanoseconds>& last_passes() const { return last_passes_; }
  // [R * N]: different tokens from a rank (first index) to a node.
  std::vector<int64_t> TokensToNodes(int chunk) const;

 private:
  size_t width() const { return 1 + num_slots_ + num_ranks_ + num_nodes_; }
  int64_t At(int chunk, int source, size_t column) const {
    const size_t row = static_cast<size_t>(source) * num_chunks_ + static_cast<size_t>(chunk);
    return counts_[row * width() + column];
  }

  size_t num_chunks_ = 0;
  size_t num_ranks_ = 0;
  size_t num_slots_ = 0;
  size_t num_nodes_ = 0;
  // [source, chunk, width()]: tokens, copies by slot, tokens by rank, tokens by node.
  std::vector<int64_t> counts_;
  std::vector<PassNanoseconds> last_passes_;
};

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_EXCHANGE_COUNTS_H_
