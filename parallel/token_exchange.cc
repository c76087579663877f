#include "parallel/token_exchange.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "comm/collectives.h"
#include "comm/host_mirror.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "core/ops/permute.h"

namespace equipoise::parallel {

TokenExchange::TokenExchange(comm::Communicator& group, routing::ExpertPlacement placement,
                             comm::RowMulticast multicast)
    : ExpertExchange(std::move(placement)), group_(group), multicast_(std::move(multicast)) {
  EQ_CHECK_EQ(placement_.num_owners(), group.size());
}

absl::StatusOr<comm::MulticastTargets> TokenExchange::FindTargets(const Context& context,
                                                                  ConstTensorView expert_ids,
                                                                  const comm::WaitPlace& place) {
  const comm::Topology& topology = multicast_.topology();
  const int64_t tokens = expert_ids.dim(0);
  const int64_t nodes = topology.num_nodes();
  const int64_t ranks = group_.size();
  comm::MulticastTargets targets;
  targets.masks = context.scratch->Allocate(DType::kI64, {tokens, nodes});
  // Of this rank: different tokens to each rank, then to each node.
  const TensorView counts = context.scratch->Allocate(DType::kI64, {ranks + nodes});
  const TensorView gathered = context.scratch->Allocate(DType::kI64, {ranks * (ranks + nodes)});

  std::vector<int64_t> count(static_cast<size_t>(ranks + nodes), 0);
  const auto ids = expert_ids.cpu<int32_t>();
  const size_t copies = static_cast<size_t>(expert_ids.dim(1));
  for (int64_t token = 0; token < tokens; ++token) {
    const auto masks = targets.masks.Rows(token, token + 1).cpu<int64_t>();
    std::fill(masks.begin(), masks.end(), 0);
    for (const int32_t expert : ids.subspan(static_cast<size_t>(token) * copies, copies)) {
      if (expert < 0) continue;
      const int rank = placement_.owner_of(expert);
      const size_t node = static_cast<size_t>(topology.node_of(rank));
      const int64_t bit = int64_t{1} << topology.local_rank(rank);
      if (masks[node] == 0) ++count[static_cast<size_t>(ranks) + node];
      if ((masks[node] & bit) == 0) ++count[static_cast<size_t>(rank)];
      masks[node] |= bit;
    }
  }
  comm::MirrorToDevice<int64_t>(context, count, counts);
  EQ_RETURN_IF_ERROR(comm::AllGather(group_, context, counts, gathered,
                                     {.name = "exchange of token counts", .place = place}));
  const std::vector<int64_t> all = comm::HostMirror<int64_t>(context, gathered);
  targets.to_ranks = comm::RowMatrix(group_.size());
  for (int from = 0; from < group_.size(); ++from) {
    const auto own = std::span(all).subspan(static_cast<size_t>(from * (ranks + nodes)),
                                            static_cast<size_t>(ranks + nodes));
    for (int to = 0; to < group_.size(); ++to) {
      targets.to_ranks.set(from, to, own[static_cast<size_t>(to)]);
    }
    targets.to_nodes.insert(targets.to_nodes.end(), own.begin() + ranks, own.end());
  }
  return targets;
}

absl::StatusOr<TensorView> TokenExchange::Send(const Context& context, Workspace& space,
                                               const ExchangePlan& plan, ConstTensorView x,
                                               const InputTerm& term, const char* what) {
  const TensorView leaving =
      context.scratch->Allocate(x.dtype(), x.shape().WithRows(plan.tokens.num_leaving()));
  GatherRows(context, x, plan.tokens.leaving_rows, leaving);
  if (term) term(plan.tokens.leaving_rows, leaving);
  return multicast_.Deliver(context, space, plan.tokens, leaving, what);
}

absl::StatusOr<ExchangePlan> TokenExchange::Plan(const Context& context, Workspace& space,
                                                 ConstTensorView expert_ids, TensorView gates,
                                                 const comm::WaitPlace& place) {
  EQ_CHECK(context.device->kind() == DeviceKind::kCpu);
  EQ_CHECK(&space != context.scratch);
  const WorkspaceFrame frame(*context.scratch);
  ExchangePlan plan;
  plan.place = place;
  EQ_ASSIGN_OR_RETURN(const comm::MulticastTargets targets,
                      FindTargets(context, expert_ids, place));
  EQ_ASSIGN_OR_RETURN(plan.tokens, multicast_.Plan(context, space, targets, place));
  EQ_ASSIGN_OR_RETURN(plan.gates, Send(context, space, plan, gates, nullptr, "dispatch of gates"));
  EQ_ASSIGN_OR_RETURN(const TensorView ids, Send(context, *context.scratch, plan, expert_ids,
                                                 nullptr, "dispatch of ids"));
  SpreadOverExperts(context, space, ids, plan);
  return plan;
}

// The plan of this rank's experts for the tokens that came. They are taken in the order of their
// source, whichever way they came, so that experts see what they see in any other exchange.
void TokenExchange::SpreadOverExperts(const Context& context, Workspace& space, ConstTensorView ids,
                                      ExchangePlan& plan) {
  const TensorView ordered = context.scratch->Allocate(DType::kI32, ids.shape());
  GatherRows(context, ids, plan.tokens.arrival_of, ordered);
  for (int32_t& expert : ordered.cpu<int32_t>()) {
    if (expert >= 0 && placement_.owner_of(expert) != group_.rank()) expert = -1;
  }
  plan.copies = routing::MakeDispatchPlan(context, ordered, placement_);
  plan.num_rows = plan.copies.num_copies;

  const auto arrival = plan.tokens.arrival_of.cpu<int64_t>();
  for (int64_t& row : plan.copies.source_rows.cpu<int64_t>()) {
    row = arrival[static_cast<size_t>(row)];
  }
  const TensorView slots = space.Allocate(DType::kI64, ids.shape());
  for (int64_t token = 0; token < ids.dim(0); ++token) {
    const int64_t row = arrival[static_cast<size_t>(token)];
    const auto from = plan.copies.slots.Rows(token, token + 1).cpu<int64_t>();
    std::copy(from.begin(), from.end(), slots.Rows(row, row + 1).cpu<int64_t>().begin());
  }
  plan.copies.slots = slots;

  const int64_t own = placement_.num_experts_of(group_.rank());
  const size_t first = static_cast<size_t>(placement_.first_slot(group_.rank()));
  plan.offsets = space.Allocate(DType::kI64, {own + 1});
  const auto offsets = plan.offsets.cpu<int64_t>();
  offsets[0] = 0;
  for (size_t e = 0; e < static_cast<size_t>(own); ++e) {
    offsets[e + 1] = offsets[e] + plan.copies.rows_per_slot.cpu<int64_t>()[first + e];
  }
}

absl::StatusOr<TensorView> TokenExchange::Dispatch(const Context& context, Workspace& space,
                                                   const ExchangePlan& plan, ConstTensorView x,
                                                   const InputTerm& term) {
  EQ_CHECK(&space != context.scratch);
  const TensorView rows = space.Allocate(x.dtype(), x.shape().WithRows(plan.num_rows));
  const WorkspaceFrame frame(*context.scratch);
  EQ_ASSIGN_OR_RETURN(const TensorView came,
                      Send(context, *context.scratch, plan, x, term, "dispatch"));
  GatherRows(context, came, plan.copies.source_rows, rows);
  return rows;
}

absl::Status TokenExchange::DispatchBackward(const Context& context, const ExchangePlan& plan,
                                             TensorView drows, TensorView dx) {
  const WorkspaceFrame frame(*context.scratch);
  const TensorView dcame =
      context.scratch->Allocate(dx.dtype(), dx.shape().WithRows(plan.tokens.num_received));
  GatherRowsBackward(context, drows, plan.copies.slots, /*accumulate=*/false, dcame);
  return multicast_.Reduce(context, plan.tokens, dcame, /*accumulate=*/false, dx,
                           "backward dispatch");
}

absl::StatusOr<TensorView> TokenExchange::Combine(const Context& context, Workspace&,
                                                  const ExchangePlan& plan, TensorView outputs,
                                                  TensorView y) {
  const WorkspaceFrame frame(*context.scratch);
  const TensorView partial =
      context.scratch->Allocate(y.dtype(), y.shape().WithRows(plan.tokens.num_received));
  WeightedCombine(context, outputs, plan.copies.slots, plan.gates, /*accumulate=*/false, partial);
  EQ_RETURN_IF_ERROR(
      multicast_.Reduce(context, plan.tokens, partial, /*accumulate=*/true, y, "combine"));
  return outputs;
}

absl::StatusOr<TensorView> TokenExchange::CombineBackward(const Context& context,
                                                          const ExchangePlan& plan,
                                                          ConstTensorView kept, ConstTensorView dy,
                                                          TensorView dgates) {
  Workspace& scratch = *context.scratch;
  const TensorView doutputs = scratch.Allocate(kept.dtype(), kept.shape());
  const WorkspaceFrame frame(scratch);
  EQ_ASSIGN_OR_RETURN(const TensorView came,
                      Send(context, scratch, plan, dy, nullptr, "backward combine"));
  const TensorView partial = scratch.Allocate(dgates.dtype(), plan.gates.shape());
  WeightedCombineBackward(context, kept, plan.copies.slots, plan.gates, came, doutputs, partial);
  EQ_RETURN_IF_ERROR(multicast_.Reduce(context, plan.tokens, partial, /*accumulate=*/false, dgates,
                                       "backward combine of gates"));
  return doutputs;
}

}  // namespace equipoise::parallel
