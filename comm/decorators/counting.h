#ifndef EQUIPOISE_COMM_DECORATORS_COUNTING_H_
#define EQUIPOISE_COMM_DECORATORS_COUNTING_H_

#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "comm/communicator.h"
#include "comm/topology.h"

namespace equipoise::comm {

// Payload bytes that one rank has sent, by receiving rank of the world and by link class. What a
// rank keeps for itself counts under kSelf. Not thread-safe: one per rank.
class ByteCounts {
 public:
  // `world_rank` is the rank that counts.
  ByteCounts(Topology topology, int world_rank)
      : topology_(std::move(topology)),
        world_rank_(world_rank),
        to_rank_(static_cast<size_t>(topology_.num_ranks()), 0) {}

  void Add(int to_world_rank, int64_t bytes) {
    to_rank_[static_cast<size_t>(to_world_rank)] += bytes;
    over_[static_cast<size_t>(topology_.link(world_rank_, to_world_rank))] += bytes;
  }
  int64_t to(int world_rank) const { return to_rank_[static_cast<size_t>(world_rank)]; }
  int64_t over(LinkClass link) const { return over_[static_cast<size_t>(link)]; }

  int world_rank() const { return world_rank_; }
  const Topology& topology() const { return topology_; }

 private:
  Topology topology_;
  int world_rank_;
  std::vector<int64_t> to_rank_;
  std::array<int64_t, 3> over_ = {0, 0, 0};
};

// Counts the bytes of every collective of `world`, and of the groups split from it, into `counts`,
// which must outlive them. All-to-all is exact. The other verbs are counted as the direct
// algorithm would send them, whatever the transport really does (R ranks, b bytes of the whole
// tensor; to each peer): broadcast b from the root; reduce-scatter and all-gather b/R each;
// all-reduce as a reduce-scatter and an all-gather, 2b/R. What ranks write into each other's memory
// counts as if it were sent.
//
// `world` must have the ranks of counts.topology(), in that order (InvalidArgument else), and
// outlive the result. `context` serves splits.
absl::StatusOr<std::unique_ptr<Communicator>> MakeCounting(Communicator& world,
                                                           const Context& context,
                                                           ByteCounts& counts);

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_DECORATORS_COUNTING_H_
