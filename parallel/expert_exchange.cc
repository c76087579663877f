#include "parallel/expert_exchange.h"

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
namespace {

int64_t Sum(std::span<const int64_t> values) {
  return std::accumulate(values.begin(), values.end(), int64_t{0});
}

}  // namespace

ExpertExchange::ExpertExchange(comm::Communicator& group, routing::ExpertPlacement placement,
                               std::unique_ptr<comm::RowExchange> rows)
    : group_(group), placement_(std::move(placement)), rows_(std::move(rows)) {
  EQ_CHECK_EQ(placement_.num_owners(), group.size());
}

absl::StatusOr<ExchangePlan> ExpertExchange::Plan(const Context& context, Workspace& space,
                                                  const routing::DispatchPlan& dispatch,
                                                  const comm::WaitPlace& place) {
  const int ranks = group_.size();
  const int64_t experts = placement_.num_experts_of(group_.rank());
  ExchangePlan plan;
  plan.place = place;
  plan.offsets = space.Allocate(DType::kI64, {experts + 1});

  // Every owner learns how many rows each rank has for each of its experts.
  const TensorView counts = space.Allocate(DType::kI64, {ranks, experts});
  std::vector<int64_t> send_counts(static_cast<size_t>(ranks));
  for (int r = 0; r < ranks; ++r) {
    send_counts[static_cast<size_t>(r)] = placement_.num_experts_of(r);
  }
  const std::vector<int64_t> receive_counts(static_cast<size_t>(ranks), experts);
  EQ_RETURN_IF_ERROR(comm::AllToAllRows(group_, context, dispatch.rows_per_slot, send_counts,
                                        counts.Reshaped({ranks * experts}), receive_counts,
                                        {.name = "exchange of expert counts", .place = place}));

  const std::vector<int64_t> sent = comm::HostMirror<int64_t>(context, dispatch.rows_per_slot);
  const std::vector<int64_t> received =
      comm::HostMirror<int64_t>(context, counts.Reshaped({ranks * experts}));
  for (int r = 0; r < ranks; ++r) {
    plan.to_experts.send.push_back(
        Sum(std::span(sent).subspan(static_cast<size_t>(placement_.first_slot(r)),
                                    static_cast<size_t>(placement_.num_experts_of(r)))));
    plan.to_experts.receive.push_back(Sum(std::span(received).subspan(
        static_cast<size_t>(r * experts), static_cast<size_t>(experts))));
  }
  plan.to_home = plan.to_experts.Transposed();
  plan.num_received = plan.to_experts.total_receive();
  plan.arrival_of = space.Allocate(DType::kI64, {plan.num_received});
  plan.sorted_of = space.Allocate(DType::kI64, {plan.num_received});
  ComputeArrivalOrder(context, counts, plan.offsets, plan.arrival_of, plan.sorted_of);
  return plan;
}

absl::StatusOr<TensorView> ExpertExchange::ToExperts(const Context& context, Workspace& space,
                                                     const ExchangePlan& plan, TensorView copies,
                                                     const char* what) {
  if (group_.size() == 1) return copies;
  const Shape shape = copies.shape().WithRows(plan.num_received);
  const TensorView sorted = space.Allocate(copies.dtype(), shape);
  const WorkspaceFrame frame(*context.scratch);
  const TensorView arrived = context.scratch->Allocate(copies.dtype(), shape);
  EQ_ASSIGN_OR_RETURN(comm::Work work, rows_->Start(context, plan.to_experts, copies, arrived));
  EQ_RETURN_IF_ERROR(work.Wait({.name = what, .place = plan.place}));
  GatherRows(context, arrived, plan.arrival_of, sorted);
  return sorted;
}

absl::StatusOr<TensorView> ExpertExchange::ToHome(const Context& context, Workspace& space,
                                                  const ExchangePlan& plan, TensorView rows,
                                                  const char* what) {
  if (group_.size() == 1) return rows;
  const TensorView home =
      space.Allocate(rows.dtype(), rows.shape().WithRows(plan.to_home.total_receive()));
  const WorkspaceFrame frame(*context.scratch);
  const TensorView leaving = context.scratch->Allocate(rows.dtype(), rows.shape());
  GatherRows(context, rows, plan.sorted_of, leaving);
  EQ_ASSIGN_OR_RETURN(comm::Work work, rows_->Start(context, plan.to_home, leaving, home));
  EQ_RETURN_IF_ERROR(work.Wait({.name = what, .place = plan.place}));
  return home;
}

}  // namespace equipoise::parallel
