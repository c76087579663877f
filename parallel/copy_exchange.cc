#include "parallel/copy_exchange.h"

#include "comm/host_mirror.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "core/ops/permute.h"
#include "parallel/arrival_order.h"

namespace equipoise::parallel {

absl::StatusOr<std::vector<ExchangePlan>> CopyExchange::Plan(
    const Context& context, Workspace& space, const ExchangeCounts& counts,
    ConstTensorView expert_ids, TensorView gates, const comm::WaitPlace& place) {
  std::vector<ExchangePlan> plans(static_cast<size_t>(counts.num_chunks()));
  for (int chunk = 0; chunk < counts.num_chunks(); ++chunk) {
    ExchangePlan& plan = plans[static_cast<size_t>(chunk)];
    const TokenRange range = ChunkOfTokens(expert_ids.dim(0), chunk, counts.num_chunks());
    plan.place = place;
    plan.gates = gates.Rows(range.begin, range.end);
    PlanChunk(context, space, counts, chunk, expert_ids.Rows(range.begin, range.end), plan);
  }
  return plans;
}

void CopyExchange::PlanChunk(const Context& context, Workspace& space, const ExchangeCounts& counts,
                             int chunk, ConstTensorView expert_ids, ExchangePlan& plan) const {
  const int me = group_.rank();
  const int64_t own = placement_.num_experts_of(me);
  plan.copies = routing::MakeDispatchPlan(context, expert_ids, placement_);
  plan.to_experts = counts.CopiesBetweenRanks(chunk, placement_);
  plan.to_home = plan.to_experts.Transposed();
  plan.num_rows = plan.to_experts.TotalTo(me);
  plan.offsets = space.Allocate(DType::kI64, {own + 1});
  plan.arrival_of = space.Allocate(DType::kI64, {plan.num_rows});
  plan.sorted_of = space.Allocate(DType::kI64, {plan.num_rows});

  std::vector<int64_t> own_counts;  // [R, E_r]
  for (int from = 0; from < group_.size(); ++from) {
    for (int slot = placement_.first_slot(me); slot < placement_.first_slot(me + 1); ++slot) {
      own_counts.push_back(counts.copies(chunk, from, slot));
    }
  }
  const WorkspaceFrame frame(*context.scratch);
  const TensorView arriving = context.scratch->Allocate(DType::kI64, {group_.size(), own});
  comm::MirrorToDevice<int64_t>(context, own_counts, arriving);
  ComputeArrivalOrder(context, arriving, plan.offsets, plan.arrival_of, plan.sorted_of);
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
