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

TensorView CopyExchange::AddToExperts(const Context& context, Workspace& space,
                                      const ExchangePlan& plan, TensorView copies,
                                      comm::TransferSteps& steps) {
  if (group_.size() == 1) return copies;
  const Shape shape = copies.shape().WithRows(plan.num_rows);
  const TensorView sorted = space.Allocate(copies.dtype(), shape);
  const TensorView arrived = context.scratch->Allocate(copies.dtype(), shape);
  rows_->AddSteps(context, plan.to_experts, copies, arrived, kToExperts, steps);
  steps.AddLocal([context, arrived, sorted, order = plan.arrival_of] {
    GatherRows(context, arrived, order, sorted);
  });
  return sorted;
}

TensorView CopyExchange::AddToHome(const Context& context, Workspace& space,
                                   const ExchangePlan& plan, TensorView rows,
                                   comm::TransferSteps& steps) {
  if (group_.size() == 1) return rows;
  const TensorView home =
      space.Allocate(rows.dtype(), rows.shape().WithRows(plan.copies.num_copies));
  const TensorView leaving = context.scratch->Allocate(rows.dtype(), rows.shape());
  steps.AddLocal([context, rows, leaving, order = plan.sorted_of] {
    GatherRows(context, rows, order, leaving);
  });
  rows_->AddSteps(context, plan.to_home, leaving, home, kHome, steps);
  return home;
}

absl::StatusOr<PendingRows> CopyExchange::Dispatch(const Context& context, Workspace& space,
                                                   const ExchangePlan& plan, ConstTensorView x,
                                                   const InputTerm& term) {
  // With one rank the copies are the result; else they are done with when they have left.
  Workspace& home = group_.size() == 1 ? space : *context.scratch;
  const TensorView copies = home.Allocate(x.dtype(), x.shape().WithRows(plan.copies.num_copies));
  GatherRows(context, x, plan.copies.source_rows, copies);
  if (term) term(plan.copies.source_rows, copies);
  comm::TransferSteps steps;
  const TensorView rows = AddToExperts(context, space, plan, copies, steps);
  return Begin(std::move(steps), "dispatch", plan, rows);
}

absl::StatusOr<PendingRows> CopyExchange::DispatchBackward(const Context& context,
                                                           const ExchangePlan& plan,
                                                           TensorView drows, TensorView dx) {
  comm::TransferSteps steps;
  const TensorView dcopies = AddToHome(context, *context.scratch, plan, drows, steps);
  steps.AddLocal([context, dcopies, dx, slots = plan.copies.slots] {
    GatherRowsBackward(context, dcopies, slots, /*accumulate=*/false, dx);
  });
  return Begin(std::move(steps), "backward dispatch", plan, dx);
}

absl::StatusOr<PendingRows> CopyExchange::Combine(const Context& context, Workspace& space,
                                                  const ExchangePlan& plan, TensorView outputs,
                                                  TensorView y) {
  comm::TransferSteps steps;
  const TensorView home = AddToHome(context, space, plan, outputs, steps);
  steps.AddLocal([context, home, y, slots = plan.copies.slots, gates = plan.gates] {
    WeightedCombine(context, home, slots, gates, /*accumulate=*/true, y);
  });
  return Begin(std::move(steps), "combine", plan, home);
}

absl::StatusOr<PendingRows> CopyExchange::CombineBackward(const Context& context,
                                                          const ExchangePlan& plan,
                                                          ConstTensorView kept, ConstTensorView dy,
                                                          TensorView dgates) {
  const TensorView dhome = context.scratch->Allocate(kept.dtype(), kept.shape());
  WeightedCombineBackward(context, kept, plan.copies.slots, plan.gates, dy, dhome, dgates);
  comm::TransferSteps steps;
  const TensorView drows = AddToExperts(context, *context.scratch, plan, dhome, steps);
  return Begin(std::move(steps), "backward combine", plan, drows);
}

}  // namespace equipoise::parallel
