#include "parallel/token_exchange.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "core/ops/permute.h"

namespace equipoise::parallel {
namespace {

constexpr size_t kLine = 64;  // buffers begin on cache lines of their own

// A token's label is its ids and then its gates, byte for byte.
TensorView MakeLabels(const Context& context, ConstTensorView ids, ConstTensorView gates) {
  const size_t id_bytes = static_cast<size_t>(ids.dim(1)) * SizeOf(ids.dtype());
  const size_t gate_bytes = static_cast<size_t>(gates.dim(1)) * SizeOf(gates.dtype());
  const TensorView labels = context.scratch->Allocate(
      DType::kU8, {ids.dim(0), static_cast<int64_t>(id_bytes + gate_bytes)});
  const auto* id = static_cast<const uint8_t*>(ids.raw());
  const auto* gate = static_cast<const uint8_t*>(gates.raw());
  uint8_t* label = labels.cpu<uint8_t>().data();
  for (int64_t token = 0; token < ids.dim(0); ++token) {
    label = std::copy_n(id, id_bytes, label);
    label = std::copy_n(gate, gate_bytes, label);
    id += id_bytes;
    gate += gate_bytes;
  }
  return labels;
}

void SplitLabels(ConstTensorView labels, TensorView ids, TensorView gates) {
  const size_t id_bytes = static_cast<size_t>(ids.dim(1)) * SizeOf(ids.dtype());
  const size_t gate_bytes = static_cast<size_t>(gates.dim(1)) * SizeOf(gates.dtype());
  auto* id = static_cast<uint8_t*>(ids.raw());
  auto* gate = static_cast<uint8_t*>(gates.raw());
  const uint8_t* label = labels.cpu<uint8_t>().data();
  for (int64_t token = 0; token < ids.dim(0); ++token) {
    id = std::copy_n(label, id_bytes, id);
    gate = std::copy_n(label + id_bytes, gate_bytes, gate);
    label += id_bytes + gate_bytes;
  }
}

// Row i of `from` becomes row place[i] of `to`.
void ScatterRows(ConstTensorView from, std::span<const int64_t> place, TensorView to) {
  const size_t bytes = static_cast<size_t>(from.dim(1)) * SizeOf(from.dtype());
  const auto* source = static_cast<const uint8_t*>(from.raw());
  for (size_t i = 0; i < place.size(); ++i) {
    std::copy_n(source + i * bytes, bytes,
                static_cast<uint8_t*>(to.raw()) + static_cast<size_t>(place[i]) * bytes);
  }
}

}  // namespace

std::vector<comm::MulticastTargets> TokenExchange::FindTargets(const Context& context,
                                                               const ExchangeCounts& counts,
                                                               ConstTensorView expert_ids) const {
  const int64_t tokens = expert_ids.dim(0);
  const TensorView masks = context.scratch->Allocate(DType::kI64, {tokens, topology_.num_nodes()});
  std::fill(masks.cpu<int64_t>().begin(), masks.cpu<int64_t>().end(), 0);
  const auto ids = expert_ids.cpu<int32_t>();
  const size_t copies = static_cast<size_t>(expert_ids.dim(1));
  const size_t nodes = static_cast<size_t>(topology_.num_nodes());
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0) continue;
    const int rank = placement_.owner_of(ids[i]);
    const size_t node = static_cast<size_t>(topology_.node_of(rank));
    masks.cpu<int64_t>()[i / copies * nodes + node] |= int64_t{1} << topology_.local_rank(rank);
  }
  std::vector<comm::MulticastTargets> targets;
  for (int chunk = 0; chunk < counts.num_chunks(); ++chunk) {
    const TokenRange range = ChunkOfTokens(tokens, chunk, counts.num_chunks());
    targets.push_back({masks.Rows(range.begin, range.end), counts.TokensBetweenRanks(chunk),
                       counts.TokensToNodes(chunk)});
  }
  return targets;
}

absl::StatusOr<std::vector<ExchangePlan>> TokenExchange::Plan(
    const Context& context, Workspace& space, const ExchangeCounts& counts,
    ConstTensorView expert_ids, TensorView gates, const comm::WaitPlace& place) {
  EQ_CHECK(context.device->kind() == DeviceKind::kCpu);
  const WorkspaceFrame frame(*context.scratch);
  const std::vector<comm::MulticastTargets> targets = FindTargets(context, counts, expert_ids);
  const TensorView labels = MakeLabels(context, expert_ids, gates);
  EQ_ASSIGN_OR_RETURN(comm::LabelledPlans tokens,
                      multicast_.Plan(context, space, targets, labels, place));
  std::vector<ExchangePlan> plans(targets.size());
  for (size_t chunk = 0; chunk < plans.size(); ++chunk) {
    plans[chunk].place = place;
    plans[chunk].tokens = std::move(tokens.plans[chunk]);
    EQ_RETURN_IF_ERROR(AllocateBlock(context, targets[chunk],
                                     static_cast<size_t>(gates.dim(1)) * SizeOf(gates.dtype()),
                                     plans[chunk]));
    SpreadOverExperts(context, space, tokens.labels[chunk], gates, plans[chunk]);
  }
  return plans;
}

TokenExchange::Layout TokenExchange::LayoutOf(const comm::MulticastTargets& targets,
                                              size_t gate_bytes, int rank) const {
  size_t next = 0;
  const auto take = [&](int64_t rows, size_t row_bytes) {
    const size_t bytes = static_cast<size_t>(rows) * row_bytes;
    return std::exchange(next, next + (bytes + kLine - 1) / kLine * kLine);
  };
  const int64_t passed = multicast_.NumPassed(targets, rank);
  Layout layout = {};
  layout.received = take(targets.to_ranks.TotalTo(rank), static_cast<size_t>(row_bytes_));
  layout.passed = take(passed, static_cast<size_t>(row_bytes_));
  layout.passed_gates = take(passed, gate_bytes);
  layout.end = next;
  return layout;
}

absl::Status TokenExchange::AllocateBlock(const Context& context,
                                          const comm::MulticastTargets& targets, size_t gate_bytes,
                                          ExchangePlan& plan) const {
  if (node_memory_ == nullptr) return absl::OkStatus();
  std::vector<Layout> layouts;
  std::vector<size_t> bytes;
  for (int rank = 0; rank < group_.size(); ++rank) {
    layouts.push_back(LayoutOf(targets, gate_bytes, rank));
    bytes.push_back(layouts.back().end);
  }
  EQ_ASSIGN_OR_RETURN(plan.block, node_memory_->Allocate(context, bytes, plan.place));
  if (plan.block == nullptr) return absl::OkStatus();
  for (int rank = 0; rank < group_.size(); ++rank) {
    std::byte* begin = node_memory_->Reaches(rank) ? plan.block->of(rank) : nullptr;
    const auto at = [&](size_t offset) { return begin == nullptr ? nullptr : begin + offset; };
    const Layout& layout = layouts[static_cast<size_t>(rank)];
    plan.rows_in_place.received.push_back(at(layout.received));
    plan.rows_in_place.passed.push_back(at(layout.passed));
    plan.gates_in_place.passed.push_back(at(layout.passed_gates));
  }
  plan.rows_in_place.memory = node_memory_.get();
  plan.gates_in_place.memory = node_memory_.get();
  return absl::OkStatus();
}

// The plan of this rank's experts for the tokens that came. They are taken in the order of their
// source, whichever way they came, so that experts see what they see in any other exchange.
void TokenExchange::SpreadOverExperts(const Context& context, Workspace& space,
                                      ConstTensorView labels, ConstTensorView gates,
                                      ExchangePlan& plan) const {
  const Shape shape = gates.shape().WithRows(labels.dim(0));
  const TensorView ids = context.scratch->Allocate(DType::kI32, shape);
  const TensorView ordered_gates = context.scratch->Allocate(gates.dtype(), shape);
  SplitLabels(labels, ids, ordered_gates);
  for (int32_t& expert : ids.cpu<int32_t>()) {
    if (expert >= 0 && placement_.owner_of(expert) != group_.rank()) expert = -1;
  }
  plan.copies = routing::MakeDispatchPlan(context, ids, placement_);
  plan.num_rows = plan.copies.num_copies;

  // From the order of sources to that of arrival, in which tokens lie.
  const auto arrival = plan.tokens.arrival_of.cpu<int64_t>();
  for (int64_t& row : plan.copies.source_rows.cpu<int64_t>()) {
    row = arrival[static_cast<size_t>(row)];
  }
  const TensorView slots = space.Allocate(DType::kI64, shape);
  plan.gates = space.Allocate(gates.dtype(), shape);
  ScatterRows(plan.copies.slots, arrival, slots);
  ScatterRows(ordered_gates, arrival, plan.gates);
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

TensorView TokenExchange::AddArrival(const Context& context, const ExchangePlan& plan,
                                     ConstTensorView x, const InputTerm& term,
                                     comm::TransferSteps& steps) const {
  const auto allocate = [&](int64_t rows) {
    return context.scratch->Allocate(x.dtype(), x.shape().WithRows(rows));
  };
  const TensorView leaving = allocate(plan.tokens.num_leaving());
  GatherRows(context, x, plan.tokens.leaving_rows, leaving);
  if (term) term(plan.tokens.leaving_rows, leaving);
  if (plan.block != nullptr) {
    EQ_CHECK_EQ(x.shape().row_elements() * static_cast<int64_t>(SizeOf(x.dtype())), row_bytes_);
    multicast_.AddDeliveryInPlace(context, plan.tokens, plan.rows_in_place, leaving, kToExperts,
                                  steps);
    return TensorView(plan.rows_in_place.received[static_cast<size_t>(group_.rank())], x.dtype(),
                      x.shape().WithRows(plan.tokens.num_received), x.device());
  }
  const TensorView came = allocate(plan.tokens.num_received);
  multicast_.AddDelivery(context, plan.tokens, leaving, came, kToExperts, steps);
  return came;
}

void TokenExchange::AddReduction(const Context& context, const ExchangePlan& plan,
                                 ConstTensorView rows, bool accumulate, TensorView y, int lane,
                                 comm::TransferSteps& steps) const {
  if (plan.block == nullptr) {
    multicast_.AddReduction(context, plan.tokens, rows, accumulate, y, lane, steps);
    return;
  }
  const comm::MulticastBuffers& buffers =
      lane == kGatesHome ? plan.gates_in_place : plan.rows_in_place;
  multicast_.AddReductionInPlace(context, plan.tokens, buffers, rows, accumulate, y, lane, steps);
}

absl::StatusOr<PendingRows> TokenExchange::Dispatch(const Context& context, Workspace& space,
                                                    const ExchangePlan& plan, ConstTensorView x,
                                                    const InputTerm& term) {
  EQ_CHECK(&space != context.scratch);
  const TensorView rows = space.Allocate(x.dtype(), x.shape().WithRows(plan.num_rows));
  comm::TransferSteps steps;
  const TensorView came = AddArrival(context, plan, x, term, steps);
  steps.AddLocal([context, came, rows, sources = plan.copies.source_rows] {
    GatherRows(context, came, sources, rows);
  });
  return Begin(std::move(steps), "dispatch", plan, rows);
}

absl::StatusOr<PendingRows> TokenExchange::DispatchBackward(const Context& context,
                                                            const ExchangePlan& plan,
                                                            TensorView drows, TensorView dx) {
  const TensorView dcame =
      context.scratch->Allocate(dx.dtype(), dx.shape().WithRows(plan.tokens.num_received));
  GatherRowsBackward(context, drows, plan.copies.slots, /*accumulate=*/false, dcame);
  comm::TransferSteps steps;
  AddReduction(context, plan, dcame, /*accumulate=*/false, dx, kHome, steps);
  return Begin(std::move(steps), "backward dispatch", plan, dx);
}

absl::StatusOr<PendingRows> TokenExchange::Combine(const Context& context, Workspace&,
                                                   const ExchangePlan& plan, TensorView outputs,
                                                   TensorView y) {
  const TensorView partial =
      context.scratch->Allocate(y.dtype(), y.shape().WithRows(plan.tokens.num_received));
  WeightedCombine(context, outputs, plan.copies.slots, plan.gates, /*accumulate=*/false, partial);
  comm::TransferSteps steps;
  AddReduction(context, plan, partial, /*accumulate=*/true, y, kHome, steps);
  return Begin(std::move(steps), "combine", plan, outputs);
}

absl::StatusOr<PendingRows> TokenExchange::CombineBackward(const Context& context,
                                                           const ExchangePlan& plan,
                                                           ConstTensorView kept, ConstTensorView dy,
                                                           TensorView dgates) {
  const TensorView doutputs = context.scratch->Allocate(kept.dtype(), kept.shape());
  const TensorView partial = context.scratch->Allocate(dgates.dtype(), plan.gates.shape());
  comm::TransferSteps steps;
  const TensorView came = AddArrival(context, plan, dy, nullptr, steps);
  steps.AddLocal(
      [context, kept, came, doutputs, partial, slots = plan.copies.slots, gates = plan.gates] {
        WeightedCombineBackward(context, kept, slots, gates, came, doutputs, partial);
      });
  steps.EndResult();
  // The experts' backward pass need not wait for this.
  AddReduction(context, plan, partial, /*accumulate=*/false, dgates, kGatesHome, steps);
  return Begin(std::move(steps), "backward combine", plan, doutputs);
}

}  // namespace equipoise::parallel
