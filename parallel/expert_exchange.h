#ifndef EQUIPOISE_PARALLEL_EXPERT_EXCHANGE_H_
#define EQUIPOISE_PARALLEL_EXPERT_EXCHANGE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "comm/communicator.h"
#include "comm/exchange/row_exchange.h"
#include "core/device/context.h"
#include "core/tensor/tensor_view.h"
#include "routing/dispatch_plan.h"
#include "routing/placement.h"

namespace equipoise::parallel {

// Where the copies of one MoE layer go: the dispatch plans of all ranks of the expert group, as
// far as they concern this rank. Made once per layer and micro-batch; both directions, forward and
// backward, take it. Views live in the workspace that `Plan` was given.
struct ExchangePlan {
  int64_t num_received = 0;  // rows that this rank's experts compute
  // I64 [E_r + 1]: run of each local expert among the received rows.
  TensorView offsets;
  // I64 [num_received], see arrival_order.h.
  TensorView arrival_of;
  TensorView sorted_of;
  // The rows per peer on the way to the experts, and on the way home.
  comm::RowCounts to_experts;
  comm::RowCounts to_home;
  // For the names of waits.
  comm::WaitPlace place;
};

// Moves token copies to the ranks of their experts and back. The one place where routing's plan
// meets comm's rows. The two directions are each other's transpose, so the four transfers of a
// layer (dispatch, combine, and their backward passes) are two functions:
//
//   dispatch forward, combine backward:  ToExperts
//   combine forward, dispatch backward:  ToHome
//
// One per rank, for all layers; belongs to one thread; the communicator outlives it.
class ExpertExchange {
 public:
  // `group` holds every expert once, placement.num_owners() == group.size().
  ExpertExchange(comm::Communicator& group, routing::ExpertPlacement placement,
                 std::unique_ptr<comm::RowExchange> rows);

  const routing::ExpertPlacement& placement() const { return placement_; }

  // Exchanges counts (one all-to-all of E numbers). Collective over the group, also with no copies.
  // `place` names this plan's waits, also the later ones.
  absl::StatusOr<ExchangePlan> Plan(const Context& context, Workspace& space,
                                    const routing::DispatchPlan& dispatch,
                                    const comm::WaitPlace& place = {});

  // copies [C, H] in the order of the dispatch plan -> rows [num_received, H], sorted by expert.
  // The result lives in `space`, or is `copies` itself when the group is one rank. `what` names the
  // wait: "dispatch", "backward combine".
  absl::StatusOr<TensorView> ToExperts(const Context& context, Workspace& space,
                                       const ExchangePlan& plan, TensorView copies,
                                       const char* what = "dispatch");
  // rows [num_received, H] sorted by expert -> copies [C, H]; the same in reverse.
  absl::StatusOr<TensorView> ToHome(const Context& context, Workspace& space,
                                    const ExchangePlan& plan, TensorView rows,
                                    const char* what = "combine");

 private:
  comm::Communicator& group_;
  routing::ExpertPlacement placement_;
  std::unique_ptr<comm::RowExchange> rows_;
};

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_EXPERT_EXCHANGE_H_
