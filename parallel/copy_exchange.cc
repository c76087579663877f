#include "parallel/copy_exchange.h"

#include <utility>
#include <vector>

#include "comm/host_mirror.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "core/ops/permute.h"
#include "parallel/arrival_order.h"

namespace equipoise::parallel {
namespace {

constexpr size_t kLine = 64;  // buffers begin on cache lines of their own

}  // namespace

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
    EQ_RETURN_IF_ERROR(AllocateBlock(context, plan));
    if (plan.block != nullptr) {
      plan.routes = std::make_shared<const CopyRoutes>(counts, chunk, placement_);
    }
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

CopyExchange::Layout CopyExchange::LayoutOf(const ExchangePlan& plan, int rank) const {
  size_t next = 0;
  const auto take = [&](int64_t rows) {
    const size_t bytes = static_cast<size_t>(rows * row_bytes_);
    return std::exchange(next, next + (bytes + kLine - 1) / kLine * kLine);
  };
  Layout layout = {};
  layout.rows = take(plan.to_experts.TotalTo(rank));
  layout.drows = take(plan.to_experts.TotalTo(rank));
  layout.home = take(plan.to_home.TotalTo(rank));
  layout.stage_to_experts = take(rows_->StageRows(plan.to_experts, rank));
  layout.stage_to_home = take(rows_->StageRows(plan.to_home, rank));
  layout.end = next;
  return layout;
}

absl::Status CopyExchange::AllocateBlock(const Context& context, ExchangePlan& plan) const {
  if (node_memory_ == nullptr) return absl::OkStatus();
  std::vector<size_t> bytes;
  for (int rank = 0; rank < group_.size(); ++rank) bytes.push_back(LayoutOf(plan, rank).end);
  EQ_ASSIGN_OR_RETURN(plan.block, node_memory_->Allocate(context, bytes, plan.place));
  return absl::OkStatus();
}

TensorView CopyExchange::InBlock(const ExchangePlan& plan, size_t Layout::*part, const Shape& shape,
                                 DType dtype) const {
  EQ_CHECK_EQ(shape.row_elements() * static_cast<int64_t>(SizeOf(dtype)), row_bytes_);
  const int me = group_.rank();
  return TensorView(Buffers(plan, part)[static_cast<size_t>(me)], dtype, shape, DeviceKind::kCpu);
}

std::vector<std::byte*> CopyExchange::Buffers(const ExchangePlan& plan,
                                              size_t Layout::*part) const {
  std::vector<std::byte*> buffers(static_cast<size_t>(group_.size()), nullptr);
  for (const int mate : topology_.ranks_of(topology_.node_of(group_.rank()))) {
    std::byte* begin = plan.block->of(mate);
    if (begin != nullptr) buffers[static_cast<size_t>(mate)] = begin + LayoutOf(plan, mate).*part;
  }
  return buffers;
}

void CopyExchange::AddInPlaceToExperts(const Context& context, const ExchangePlan& plan,
                                       ConstTensorView send, ConstTensorView order,
                                       size_t Layout::*part, TensorView receive,
                                       comm::TransferSteps& steps) {
  const RoutesToExperts routes(*plan.routes);
  rows_->AddPlacedSteps(context, *node_memory_,
                        {plan.to_experts, routes, send, order, Buffers(plan, part),
                         Buffers(plan, &Layout::stage_to_experts), receive},
                        kToExperts, steps);
}

void CopyExchange::AddInPlaceToHome(const Context& context, const ExchangePlan& plan,
                                    ConstTensorView send, TensorView receive,
                                    comm::TransferSteps& steps) {
  const RoutesToHome routes(*plan.routes);
  rows_->AddPlacedSteps(
      context, *node_memory_,
      {plan.to_home, routes, send, ConstTensorView(), Buffers(plan, &Layout::home),
       Buffers(plan, &Layout::stage_to_home), receive},
      kHome, steps);
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
  if (plan.block != nullptr) {
    const TensorView home =
        InBlock(plan, &Layout::home, rows.shape().WithRows(plan.copies.num_copies), rows.dtype());
    AddInPlaceToHome(context, plan, rows, home, steps);
    return home;
  }
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
  if (plan.block != nullptr) return DispatchInPlace(context, plan, x, term);
  // With one rank the copies are the result; else they are done with when they have left.
  Workspace& home = group_.size() == 1 ? space : *context.scratch;
  const TensorView copies = home.Allocate(x.dtype(), x.shape().WithRows(plan.copies.num_copies));
  GatherRows(context, x, plan.copies.source_rows, copies);
  if (term) term(plan.copies.source_rows, copies);
  comm::TransferSteps steps;
  const TensorView rows = AddToExperts(context, space, plan, copies, steps);
  return Begin(std::move(steps), "dispatch", plan, rows);
}

absl::StatusOr<PendingRows> CopyExchange::DispatchInPlace(const Context& context,
                                                          const ExchangePlan& plan,
                                                          ConstTensorView x,
                                                          const InputTerm& term) {
  const TensorView rows =
      InBlock(plan, &Layout::rows, x.shape().WithRows(plan.num_rows), x.dtype());
  comm::TransferSteps steps;
  if (!term) {
    AddInPlaceToExperts(context, plan, x, plan.copies.source_rows, &Layout::rows, rows, steps);
    return Begin(std::move(steps), "dispatch", plan, rows);
  }
  const TensorView copies =
      context.scratch->Allocate(x.dtype(), x.shape().WithRows(plan.copies.num_copies));
  GatherRows(context, x, plan.copies.source_rows, copies);
  term(plan.copies.source_rows, copies);
  AddInPlaceToExperts(context, plan, copies, {}, &Layout::rows, rows, steps);
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
  if (plan.block != nullptr) {
    const TensorView drows =
        InBlock(plan, &Layout::drows, kept.shape().WithRows(plan.num_rows), kept.dtype());
    AddInPlaceToExperts(context, plan, dhome, {}, &Layout::drows, drows, steps);
    return Begin(std::move(steps), "backward combine", plan, drows);
  }
  const TensorView drows = AddToExperts(context, *context.scratch, plan, dhome, steps);
  return Begin(std::move(steps), "backward combine", plan, drows);
}

}  // namespace equipoise::parallel
