#include "parallel/copy_exchange.h"

#include <numeric>
#include <span>
#include <utility>

#include "comm/collectives.h"
#include "comm/host_mirror.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "core/ops/permute.h"
#include "parallel/arrival_order.h"

namespace equipoise::parallel {

CopyExchange::CopyExchange(comm::Communicator& group, routing::ExpertPlacement placement,
                           std::unique_ptr<comm::RowExchange> rows)
    : ExpertExchange(std::move(placement)), group_(group), rows_(std::move(rows)) {
  EQ_CHECK_EQ(placement_.num_owners(), group.size());
}

absl::StatusOr<ExchangePlan> CopyExchange::Plan(const Context& context, Workspace& space,
                                                ConstTensorView expert_ids, TensorView gates,
                                                const comm::WaitPlace& place) {
  const int ranks = group_.size();
  const int64_t slots = placement_.num_experts();
  const int64_t own = placement_.num_experts_of(group_.rank());
  ExchangePlan plan;
  plan.place = place;
  plan.gates = gates;
  plan.copies = routing::MakeDispatchPlan(context, expert_ids, placement_);
  plan.offsets = space.Allocate(DType::kI64, {own + 1});

  const WorkspaceFrame frame(*context.scratch);
  const TensorView gathered = context.scratch->Allocate(DType::kI64, {ranks * slots});
  EQ_RETURN_IF_ERROR(comm::AllGather(group_, context, plan.copies.rows_per_slot, gathered,
                                     {.name = "exchange of expert counts", .place = place}));
  const std::vector<int64_t> counts = comm::HostMirror<int64_t>(context, gathered);
  const auto run = [&](int from, int64_t first_slot, int64_t size) {
    return std::span(counts).subspan(static_cast<size_t>(from * slots + first_slot),
                                     static_cast<size_t>(size));
  };
  plan.to_experts = comm::RowMatrix(ranks);
  std::vector<int64_t> own_counts;  // [R, E_r]
  for (int from = 0; from < ranks; ++from) {
    for (int to = 0; to < ranks; ++to) {
      const auto rows = run(from, placement_.first_slot(to), placement_.num_experts_of(to));
      plan.to_experts.set(from, to, std::accumulate(rows.begin(), rows.end(), int64_t{0}));
    }
    const auto rows = run(from, placement_.first_slot(group_.rank()), own);
    own_counts.insert(own_counts.end(), rows.begin(), rows.end());
  }
  plan.to_home = plan.to_experts.Transposed();
  plan.num_rows = plan.to_experts.TotalTo(group_.rank());
  plan.arrival_of = space.Allocate(DType::kI64, {plan.num_rows});
  plan.sorted_of = space.Allocate(DType::kI64, {plan.num_rows});
  const TensorView arriving = context.scratch->Allocate(DType::kI64, {ranks, own});
  comm::MirrorToDevice<int64_t>(context, own_counts, arriving);
  ComputeArrivalOrder(context, arriving, plan.offsets, plan.arrival_of, plan.sorted_of);
  return plan;
}

absl::StatusOr<TensorView> CopyExchange::ToExperts(const Context& context, Workspace& space,
                                                   const ExchangePlan& plan, TensorView copies,
                                                   const char* what) {
  if (group_.size() == 1) return copies;
  const Shape shape = copies.shape().WithRows(plan.num_rows);
  const TensorView sorted = space.Allocate(copies.dtype(), shape);
  const WorkspaceFrame frame(*context.scratch);
  const TensorView arrived = context.scratch->Allocate(copies.dtype(), shape);
  EQ_RETURN_IF_ERROR(
      rows_->Run(context, plan.to_experts, copies, arrived, {.name = what, .place = plan.place}));
  GatherRows(context, arrived, plan.arrival_of, sorted);
  return sorted;
}

absl::StatusOr<TensorView> CopyExchange::ToHome(const Context& context, Workspace& space,
                                                const ExchangePlan& plan, TensorView rows,
                                                const char* what) {
  if (group_.size() == 1) return rows;
  const TensorView home =
      space.Allocate(rows.dtype(), rows.shape().WithRows(plan.copies.num_copies));
  const WorkspaceFrame frame(*context.scratch);
  const TensorView leaving = context.scratch->Allocate(rows.dtype(), rows.shape());
  GatherRows(context, rows, plan.sorted_of, leaving);
  EQ_RETURN_IF_ERROR(
      rows_->Run(context, plan.to_home, leaving, home, {.name = what, .place = plan.place}));
  return home;
}

absl::StatusOr<TensorView> CopyExchange::Dispatch(const Context& context, Workspace& space,
                                                  const ExchangePlan& plan, ConstTensorView x,
                                                  const InputTerm& term) {
  // With one rank the copies are the result; else they are done with when they have left.
  const Shape shape = x.shape().WithRows(plan.copies.num_copies);
  const auto fill = [&](TensorView copies) {
    GatherRows(context, x, plan.copies.source_rows, copies);
    if (term) term(plan.copies.source_rows, copies);
    return copies;
  };
  if (group_.size() == 1) return fill(space.Allocate(x.dtype(), shape));
  EQ_CHECK(&space != context.scratch);
  const WorkspaceFrame frame(*context.scratch);
  return ToExperts(context, space, plan, fill(context.scratch->Allocate(x.dtype(), shape)),
                   "dispatch");
}

absl::Status CopyExchange::DispatchBackward(const Context& context, const ExchangePlan& plan,
                                            TensorView drows, TensorView dx) {
  const WorkspaceFrame frame(*context.scratch);
  EQ_ASSIGN_OR_RETURN(const TensorView dcopies,
                      ToHome(context, *context.scratch, plan, drows, "backward dispatch"));
  GatherRowsBackward(context, dcopies, plan.copies.slots, /*accumulate=*/false, dx);
  return absl::OkStatus();
}

absl::StatusOr<TensorView> CopyExchange::Combine(const Context& context, Workspace& space,
                                                 const ExchangePlan& plan, TensorView outputs,
                                                 TensorView y) {
  EQ_ASSIGN_OR_RETURN(const TensorView home, ToHome(context, space, plan, outputs, "combine"));
  WeightedCombine(context, home, plan.copies.slots, plan.gates, /*accumulate=*/true, y);
  return home;
}

absl::StatusOr<TensorView> CopyExchange::CombineBackward(const Context& context,
                                                         const ExchangePlan& plan,
                                                         ConstTensorView kept, ConstTensorView dy,
                                                         TensorView dgates) {
  Workspace& scratch = *context.scratch;
  const TensorView dhome = scratch.Allocate(kept.dtype(), kept.shape());
  WeightedCombineBackward(context, kept, plan.copies.slots, plan.gates, dy, dhome, dgates);
  return ToExperts(context, scratch, plan, dhome, "backward combine");
}

}  // namespace equipoise::parallel
