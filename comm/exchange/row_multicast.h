#ifndef EQUIPOISE_COMM_EXCHANGE_ROW_MULTICAST_H_
#define EQUIPOISE_COMM_EXCHANGE_ROW_MULTICAST_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "comm/communicator.h"
#include "comm/exchange/node_memory.h"
#include "comm/exchange/row_exchange.h"
#include "comm/exchange/transfer.h"
#include "comm/topology.h"
#include "core/device/context.h"
#include "core/tensor/tensor_view.h"

namespace equipoise::comm {

// Which ranks each row of this rank goes to, and how many rows go where on all ranks: of a piece of
// the rows, T of them. R ranks on N nodes.
struct MulticastTargets {
  // I64 [T, N]: for each row and node the set of that node's ranks, bit i for local rank i.
  TensorView masks;
  RowMatrix to_ranks;  // different rows from a rank to a rank
  // [R * N]: different rows from a rank (first index) to any rank of a node.
  std::vector<int64_t> to_nodes;
};

// The steps of one piece's multicast, of one rank. Made once, taken by every transfer in both
// directions; a bundle of views into the workspace it was made in.
struct MulticastPlan {
  // What leaves: I64 [U], this rank's rows by destination node, own node included (U counts a row
  // once for each of its nodes); and for each row and node, its place among them, or -1: [T, N].
  TensorView leaving_rows;
  TensorView leaving_slots;
  std::vector<int64_t> across_send, across_receive;  // [R]
  // What this rank passes on inside its node: I64 [P] of the rows that came to it, by local rank;
  // and for each of those rows and each local rank, its place, or -1: [came, G].
  TensorView passed_rows;
  TensorView passed_slots;
  std::vector<int64_t> inside_send, inside_receive;  // [R]
  // Rows that this rank gets, as they arrive; and where the i-th of them lies when they are ordered
  // by source rank and then as in the source: I64 [received].
  int64_t num_received = 0;
  TensorView arrival_of;
  // Where this rank's rows begin: of those it passes on, in what each mate gets; of those it gets,
  // in what each mate passes on. [R], 0 for other ranks.
  std::vector<int64_t> begin_at_mates, begin_at_doors;
  WaitPlace place;

  int64_t num_leaving() const { return leaving_rows.dim(0); }
};

// The plan of every piece, and what the rows are, as their senders say.
struct LabelledPlans {
  std::vector<MulticastPlan> plans;
  // For each plan U8 [num_received, W], by source rank and then as in the source.
  std::vector<TensorView> labels;
};

// Memory into which ranks of a node write rows, of every rank in reach; null of others: what it
// gets, and what comes back of what it passes on.
struct MulticastBuffers {
  NodeMemory* memory = nullptr;
  std::vector<std::byte*> received;
  std::vector<std::byte*> passed;
};

// One row to several ranks, and the sum of what they make of it back. A row crosses to each node
// once, to one rank of it, its door, which passes it on to those that want it; on the way back the
// door adds up its node's rows, and one row crosses. (Deduplicated all-to-all: DeepEP, HierMoE.)
// The door into a node for rank r has r's local rank, modulo the node's size.
//
// Sums are in the order of local ranks, then of nodes: the same on every run. Knows nothing of
// experts. One per rank; belongs to one thread; collective over the group, which outlives it.
class RowMulticast {
 public:
  // InvalidArgument when a node has more than 63 ranks. `topology` is that of `group`.
  static absl::StatusOr<RowMulticast> Create(Communicator& group, Topology topology);

  const Topology& topology() const { return topology_; }
  // Rows that `rank` passes on inside its node, of a piece.
  int64_t NumPassed(const MulticastTargets& targets, int rank) const;

  // Plans the pieces, whose masks follow each other in memory, and sends each row's destinations
  // with its label [W] of any bytes: in two messages, one across and one inside, for all pieces.
  // labels U8 [rows of all pieces, W]. Allocates from `space`, not context.scratch.
  absl::StatusOr<LabelledPlans> Plan(const Context& context, Workspace& space,
                                     std::span<const MulticastTargets> pieces,
                                     ConstTensorView labels, const WaitPlace& place) const;

  // Adds the steps that bring `leaving` [U, W], of any element type, by plan.leaving_rows, to
  // `received` [num_received, W] in order of arrival, on kNumPhases lanes from `lane` on. Takes
  // memory from context.scratch and leaves it behind, as RowExchange does.
  void AddDelivery(const Context& context, const MulticastPlan& plan, ConstTensorView leaving,
                   TensorView received, int lane, TransferSteps& steps) const;
  // The transpose: rows [num_received, W] in order of arrival -> y [T, W] (+)= sum over the ranks
  // that got a row.
  void AddReduction(const Context& context, const MulticastPlan& plan, ConstTensorView rows,
                    bool accumulate, TensorView y, int lane, TransferSteps& steps) const;
  // The same, with rows inside the node written straight into the receivers' memory: `received` is
  // this rank's part of buffers.received. A buffer may be used again when the rows of the other
  // direction have come, which its readers sent after they had read.
  void AddDeliveryInPlace(const Context& context, const MulticastPlan& plan,
                          const MulticastBuffers& buffers, ConstTensorView leaving, int lane,
                          TransferSteps& steps) const;
  void AddReductionInPlace(const Context& context, const MulticastPlan& plan,
                           const MulticastBuffers& buffers, ConstTensorView rows, bool accumulate,
                           TensorView y, int lane, TransferSteps& steps) const;
  static constexpr int kNumPhases = 2;

 private:
  RowMulticast(Communicator& group, Topology topology)
      : group_(&group), topology_(std::move(topology)) {}

  int node() const { return topology_.node_of(group_->rank()); }
  const std::vector<int>& mates() const { return topology_.ranks_of(node()); }
  // The rank of `node` that takes in rank `source`'s rows.
  int Door(int node, int source) const;
  // Rows that `door` passes on to `mate`, both of one node.
  int64_t NumPassed(const MulticastTargets& targets, int door, int mate) const;
  // The second half of a reduction: sums of what came back inside the node, sent home.
  void AddSums(const Context& context, const MulticastPlan& plan, ConstTensorView passed,
               bool accumulate, TensorView y, int lane, TransferSteps& steps) const;
  // The rows that came across, of all pieces: their masks and labels.
  struct Came {
    TensorView masks;   // I64 [came]
    TensorView labels;  // U8 [came, W]
  };
  absl::StatusOr<Came> SendAcross(const Context& context, const MulticastPlan& plan,
                                  ConstTensorView masks, ConstTensorView labels) const;
  // What `pieces` are together.
  MulticastTargets Joined(std::span<const MulticastTargets> pieces) const;
  void PlanLeaving(Workspace& space, const MulticastTargets& targets, MulticastPlan& plan) const;
  void PlanPassing(Workspace& space, std::span<const int64_t> masks, MulticastPlan& plan) const;
  void PlanArrival(Workspace& space, const MulticastTargets& targets, MulticastPlan& plan) const;
  // Cuts what came, and the labels of what arrived, both ordered by source, into pieces.
  void PlanPieces(const Context& context, Workspace& space,
                  std::span<const MulticastTargets> pieces, std::span<const int64_t> masks,
                  ConstTensorView labels, LabelledPlans& result) const;

  Communicator* group_;
  Topology topology_;
};

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_EXCHANGE_ROW_MULTICAST_H_
