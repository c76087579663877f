#include "parallel/exchange_counts.h"

#include <span>

#include "comm/collectives.h"
#include "comm/host_mirror.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"

namespace equipoise::parallel {
namespace {

constexpr size_t kOfPass = 2;  // numbers of a PassNanoseconds

// Counts each token once for each of its places. Instead of a set of them it keeps, for each place,
// the last token seen there: tokens come one after the other.
class DistinctCounter {
 public:
  DistinctCounter(std::span<int64_t> counts) : counts_(counts), last_(counts.size(), -1) {}
  void Add(int64_t token, size_t place) {
    if (last_[place] == token) return;
    last_[place] = token;
    ++counts_[place];
  }

 private:
  const std::span<int64_t> counts_;
  std::vector<int64_t> last_;
};

// One rank's counts of one chunk, all zero before.
struct ChunkCounts {
  std::span<int64_t> tokens, slots, ranks, nodes;
};

void Count(const comm::Topology& topology, const routing::ExpertPlacement& placement,
           ConstTensorView expert_ids, const ChunkCounts& counts) {
  const std::span<const int32_t> ids = expert_ids.cpu<int32_t>();
  const size_t copies = static_cast<size_t>(expert_ids.dim(1));
  counts.tokens[0] = expert_ids.dim(0);
  DistinctCounter ranks(counts.ranks);
  DistinctCounter nodes(counts.nodes);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0) continue;
    const int64_t token = static_cast<int64_t>(i / copies);
    const int rank = placement.owner_of(ids[i]);
    ++counts.slots[static_cast<size_t>(placement.slot_of(ids[i]))];
    ranks.Add(token, static_cast<size_t>(rank));
    nodes.Add(token, static_cast<size_t>(topology.node_of(rank)));
  }
}

}  // namespace

TokenRange ChunkOfTokens(int64_t tokens, int chunk, int num_chunks) {
  return {tokens * chunk / num_chunks, tokens * (chunk + 1) / num_chunks};
}

absl::StatusOr<ExchangeCounts> ExchangeCounts::Gather(
    comm::Communicator& group, const Context& context, const comm::Topology& topology,
    const routing::ExpertPlacement& placement, ConstTensorView expert_ids, int num_chunks,
    const comm::WaitPlace& place, const PassNanoseconds& last_pass) {
  EQ_CHECK(context.device->kind() == DeviceKind::kCpu);
  EQ_CHECK_GE(num_chunks, 1);
  ExchangeCounts counts;
  counts.num_chunks_ = static_cast<size_t>(num_chunks);
  counts.num_ranks_ = static_cast<size_t>(group.size());
  counts.num_slots_ = static_cast<size_t>(placement.num_experts());
  counts.num_nodes_ = static_cast<size_t>(topology.num_nodes());

  const WorkspaceFrame frame(*context.scratch);
  const auto size = static_cast<int64_t>(kOfPass + counts.num_chunks_ * counts.width());
  const TensorView gathered = context.scratch->Allocate(DType::kI64, {group.size(), size});
  const TensorView own = gathered.Rows(group.rank(), group.rank() + 1);
  std::vector<int64_t> mine(static_cast<size_t>(size), 0);
  mine[0] = last_pass.elapsed;
  mine[1] = last_pass.alone;
  for (int chunk = 0; chunk < num_chunks; ++chunk) {
    const TokenRange range = ChunkOfTokens(expert_ids.dim(0), chunk, num_chunks);
    const std::span<int64_t> row = std::span(mine).subspan(
        kOfPass + static_cast<size_t>(chunk) * counts.width(), counts.width());
    const std::span<int64_t> ranks = row.subspan(1 + counts.num_slots_, counts.num_ranks_);
    Count(topology, placement, expert_ids.Rows(range.begin, range.end),
          {row.first(1), row.subspan(1, counts.num_slots_), ranks, row.last(counts.num_nodes_)});
  }
  comm::MirrorToDevice<int64_t>(context, mine, own);
  EQ_RETURN_IF_ERROR(comm::AllGather(group, context, own, gathered,
                                     {.name = "exchange of counts", .place = place}));
  const std::vector<int64_t> all = comm::HostMirror<int64_t>(context, gathered);
  for (auto next = all.begin(); next != all.end(); next += size) {
    counts.last_passes_.push_back({next[0], next[1]});
    counts.counts_.insert(counts.counts_.end(), next + kOfPass, next + size);
  }
  return counts;
}

int64_t ExchangeCounts::copies(int chunk, int source, int slot) const {
  return At(chunk, source, 1 + static_cast<size_t>(slot));
}

int64_t ExchangeCounts::tokens_to_rank(int chunk, int source, int rank) const {
  return At(chunk, source, 1 + num_slots_ + static_cast<size_t>(rank));
}

int64_t ExchangeCounts::tokens_to_node(int chunk, int source, int node) const {
  return At(chunk, source, 1 + num_slots_ + num_ranks_ + static_cast<size_t>(node));
}

comm::RowMatrix ExchangeCounts::CopiesBetweenRanks(
    int chunk, const routing::ExpertPlacement& placement) const {
  comm::RowMatrix rows(num_ranks());
  for (int from = 0; from < num_ranks(); ++from) {
    for (int to = 0; to < num_ranks(); ++to) {
      int64_t sum = 0;
      for (int slot = placement.first_slot(to); slot < placement.first_slot(to + 1); ++slot) {
        sum += copies(chunk, from, slot);
      }
      rows.set(from, to, sum);
    }
  }
  return rows;
}

comm::RowMatrix ExchangeCounts::TokensBetweenRanks(int chunk) const {
  comm::RowMatrix rows(num_ranks());
  for (int from = 0; from < num_ranks(); ++from) {
    for (int to = 0; to < num_ranks(); ++to) rows.set(from, to, tokens_to_rank(chunk, from, to));
  }
  return rows;
}

std::vector<int64_t> ExchangeCounts::TokensToNodes(int chunk) const {
  std::vector<int64_t> tokens;
  for (int from = 0; from < num_ranks(); ++from) {
    for (int node = 0; node < static_cast<int>(num_nodes_); ++node) {
      tokens.push_back(tokens_to_node(chunk, from, node));
    }
  }
  return tokens;
}

}  // namespace equipoise::parallel
