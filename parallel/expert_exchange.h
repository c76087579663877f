#ifndef EQUIPOISE_PARALLEL_EXPERT_EXCHANGE_H_
#define EQUIPOISE_PARALLEL_EXPERT_EXCHANGE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "comm/communicator.h"
#include "comm/exchange/row_exchange.h"
#include "comm/exchange/row_multicast.h"
#include "comm/link_model.h"
#include "comm/topology.h"
#include "core/base/check.h"
#include "core/device/context.h"
#include "core/tensor/tensor_view.h"
#include "parallel/exchange_counts.h"
#include "routing/dispatch_plan.h"
#include "routing/placement.h"

namespace equipoise::parallel {

// Where the copies of one chunk of an MoE layer's tokens go, as far as it concerns this rank. Made
// once per layer and micro-batch; both directions, forward and backward, take it. T is the number
// of this rank's tokens in the chunk. Views live in the workspace that `Plan` was given.
struct ExchangePlan {
  int64_t num_rows = 0;  // copies that this rank's experts compute
  TensorView offsets;    // I64 [E_r + 1]: run of each local expert among them
  comm::WaitPlace place;

  // Which of its algorithms an AutoExchange has chosen.
  int candidate = 0;

  // The rest belongs to the algorithm that made the plan.
  // Copies of the tokens at hand: of this rank's (CopyExchange), or of those that came to its
  // experts (TokenExchange). Their gates.
  routing::DispatchPlan copies;
  TensorView gates;
  // CopyExchange: rows between ranks, and arrival_order.h.
  comm::RowMatrix to_experts;
  comm::RowMatrix to_home;
  TensorView arrival_of;
  TensorView sorted_of;
  // TokenExchange.
  comm::MulticastPlan tokens;
};

// Moves tokens to the ranks of their experts, and what the experts make of them back. The one place
// where routing's choice meets comm's rows. All algorithms give each expert the same rows in the
// same order (source rank, token), and the same sums up to rounding.
//
// The four transfers of a layer come in pairs, each the other's transpose: Dispatch and
// DispatchBackward, Combine and CombineBackward. Collective over the group, also without tokens.
//
// One per rank, for all layers; belongs to one thread; the communicator outlives it.
class ExpertExchange {
 public:
  virtual ~ExpertExchange() = default;

  // As in configurations: "flat", "two_level", "two_level_dedup", "auto".
  virtual const std::string& name() const = 0;
  // The name of the algorithm that a plan of this exchange uses: never "auto".
  virtual const std::string& AlgorithmOf(const ExchangePlan&) const { return name(); }
  const routing::ExpertPlacement& placement() const { return placement_; }
  const comm::Topology& topology() const { return topology_; }

  // The one exchange of counts of a layer, whatever the algorithm. expert_ids I32 [T, K], -1 for no
  // copy, of all chunks. `place` names the wait.
  absl::StatusOr<ExchangeCounts> Count(const Context& context, ConstTensorView expert_ids,
                                       int num_chunks, const comm::WaitPlace& place) {
    return ExchangeCounts::Gather(group_, context, topology_, placement_, expert_ids, num_chunks,
                                  place);
  }

  // A plan for each chunk, in order: chunk i of this rank's tokens is ChunkOfTokens(T, i, n). Takes
  // what Count gave for these ids; gates [T, K]. `place` names the plans' waits, also the later
  // ones.
  virtual absl::StatusOr<std::vector<ExchangePlan>> Plan(const Context& context, Workspace& space,
                                                         const ExchangeCounts& counts,
                                                         ConstTensorView expert_ids,
                                                         TensorView gates,
                                                         const comm::WaitPlace& place) = 0;

  // Adds to rows [n, H], which hold tokens I64 [n] of this rank: what experts read besides x.
  using InputTerm = std::function<void(ConstTensorView tokens, TensorView rows)>;

  // x [T, H] -> rows [num_rows, H] in `space`, sorted by expert. `term` may be empty.
  virtual absl::StatusOr<TensorView> Dispatch(const Context& context, Workspace& space,
                                              const ExchangePlan& plan, ConstTensorView x,
                                              const InputTerm& term) = 0;
  // dx [T, H] becomes the sum over a token's copies of drows [num_rows, H].
  virtual absl::Status DispatchBackward(const Context& context, const ExchangePlan& plan,
                                        TensorView drows, TensorView dx) = 0;

  // Adds to y [T, H] the sum over a token's copies of gate * outputs [num_rows, H]. Returns what
  // CombineBackward wants: outputs themselves, or memory in `space`.
  virtual absl::StatusOr<TensorView> Combine(const Context& context, Workspace& space,
                                             const ExchangePlan& plan, TensorView outputs,
                                             TensorView y) = 0;
  // dy [T, H] -> gradients of the outputs [num_rows, H], in context.scratch, and of the gates:
  // dgates [T, K], 0 where there is no copy.
  virtual absl::StatusOr<TensorView> CombineBackward(const Context& context,
                                                     const ExchangePlan& plan, ConstTensorView kept,
                                                     ConstTensorView dy, TensorView dgates) = 0;

 protected:
  // `topology` is that of `group`.
  ExpertExchange(comm::Communicator& group, comm::Topology topology,
                 routing::ExpertPlacement placement)
      : group_(group), topology_(std::move(topology)), placement_(std::move(placement)) {
    EQ_CHECK_EQ(placement_.num_owners(), group.size());
    EQ_CHECK_EQ(topology_.num_ranks(), group.size());
  }

  comm::Communicator& group_;
  const comm::Topology topology_;
  const routing::ExpertPlacement placement_;
};

// What "auto" chooses by.
struct ExchangeCosts {
  comm::LinkModel links;
  int64_t row_bytes = 0;  // of a token's H elements
};

// Makes the algorithm `name` for `group`, which holds every expert once: placement.num_owners() ==
// group.size(). Collective. InvalidArgument lists the known names.
absl::StatusOr<std::unique_ptr<ExpertExchange>> MakeExpertExchange(
    const std::string& name, comm::Communicator& group, const Context& context,
    routing::ExpertPlacement placement, const ExchangeCosts& costs = {});

// All names, as in configurations.
std::vector<std::string> ExpertExchangeNames();

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_EXPERT_EXCHANGE_H_
