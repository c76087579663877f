#ifndef EQUIPOISE_COMM_EXCHANGE_NODE_MEMORY_H_
#define EQUIPOISE_COMM_EXCHANGE_NODE_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "comm/communicator.h"
#include "comm/exchange/block_ledger.h"
#include "comm/shared_memory.h"
#include "comm/topology.h"
#include "comm/work.h"
#include "core/device/context.h"

namespace equipoise::comm {

// Memory of the ranks of a group that ranks of the same node write rows into, in place: blocks for
// what a plan of an exchange receives, and flags that say what has been written. One per rank;
// belongs to one thread; the group outlives it, and it outlives its blocks.
//
//  1. All ranks of the group make the same calls in the same order, with the same sizes, which are
//     those of all ranks: everybody knows where everybody's blocks lie, on whatever node.
//  2. A block that is given back is handed out again only after the next Settle(). Ranks call that
//     before a collective over the group, and Allocate() after it: whoever writes into a new block
//     knows that its owner has entered that collective, and so has done with what lay there.
//  3. Memory grows when a block does not fit, by a slab of all ranks together; when nothing is
//     taken, slabs become one. It is reused for ever, and at most twice what was in use at a time.
//  4. Where memory cannot be had, on whichever node, all ranks do without from then on. One of them
//     says so, once.
class NodeMemory {
 public:
  // For what ranks say to each other on `num_lanes` lanes. Null where every rank has a node to
  // itself, or there is no memory even for that. Collective. `topology` is that of `group`.
  static absl::StatusOr<std::unique_ptr<NodeMemory>> Create(Communicator& group, Topology topology,
                                                            const Context& context, int num_lanes);
  ~NodeMemory();
  NodeMemory(const NodeMemory&) = delete;
  NodeMemory& operator=(const NodeMemory&) = delete;

  const Topology& topology() const { return topology_; }
  // Whether this rank can write into the memory of `rank`.
  bool Reaches(int rank) const {
    return topology_.node_of(rank) == topology_.node_of(group_.rank());
  }

  // A piece of every rank's memory, given back when it is destroyed.
  class Block {
   public:
    ~Block() { memory_->returned_.push_back(std::move(places_)); }
    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;
    // Where the piece of `rank`, in reach, begins; aligned to 64 bytes.
    std::byte* of(int rank) const { return memory_->AddressOf(places_, rank); }

   private:
    friend class NodeMemory;
    Block(NodeMemory* memory, BlockLedger::Places places)
        : memory_(memory), places_(std::move(places)) {}
    NodeMemory* const memory_;
    BlockLedger::Places places_;
  };

  void Settle();
  // bytes[r] for rank r. Null: without memory, see 4. `place` names waits.
  absl::StatusOr<std::shared_ptr<const Block>> Allocate(const Context& context,
                                                        std::span<const size_t> bytes,
                                                        const WaitPlace& place);

  // What to tell, and to wait for, at the end of this rank's next step on `lane`, in which it has
  // written bytes_to[r] into the memory of each r in reach, and ranks of `sources` write into its
  // own. Steps of a lane are numbered alike on all ranks.
  SharedWrites NextStep(int lane, std::vector<int64_t> bytes_to, std::span<const int> sources);

  // False once memory could not be had.
  bool available() const { return !exhausted_; }
  // Of this rank, in all slabs.
  size_t bytes() const { return ledger_.capacity(static_cast<size_t>(group_.rank())); }

 private:
  NodeMemory(Communicator& group, Topology topology, int num_lanes);

  absl::Status AllocateFlags(const Context& context);
  // Makes room for a block, or gives up for good.
  absl::Status Grow(const Context& context, std::span<const size_t> bytes, const WaitPlace& place);
  absl::Status GiveUp(const absl::Status& reason);
  std::byte* AddressOf(const BlockLedger::Places& places, int rank) const;
  Flag FlagOf(int receiver, int sender, int lane) const;

  Communicator& group_;
  const Topology topology_;
  const int num_lanes_;
  std::unique_ptr<Communicator> node_;
  std::unique_ptr<SharedMemory> flags_;               // [sender, lane] of this node, of each rank
  std::vector<std::unique_ptr<SharedMemory>> slabs_;  // in the order of the ledger
  BlockLedger ledger_;
  std::vector<size_t> largest_;  // [R]: that did not fit
  std::vector<BlockLedger::Places> returned_;
  std::vector<uint64_t> steps_;  // [lane]: done by this rank
  bool exhausted_ = false;
};

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_EXCHANGE_NODE_MEMORY_H_
