#include "comm/exchange/row_multicast.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "comm/collectives.h"
#include "comm/exchange/placed_rows.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "core/ops/permute.h"

namespace equipoise::comm {
namespace {

constexpr size_t kMaxLocalRanks = 63;  // bits of a mask
constexpr int64_t kNowhere = -1;

int64_t Sum(const std::vector<int64_t>& values) {
  return std::accumulate(values.begin(), values.end(), int64_t{0});
}

bool Wants(int64_t mask, size_t local_rank) { return (mask >> local_rank & 1) != 0; }

}  // namespace

absl::StatusOr<RowMulticast> RowMulticast::Create(Communicator& group, Topology topology) {
  EQ_CHECK_EQ(topology.num_ranks(), group.size());
  for (int node = 0; node < topology.num_nodes(); ++node) {
    if (topology.ranks_of(node).size() <= kMaxLocalRanks) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "node ", topology.node_name(node), " has ", topology.ranks_of(node).size(), " ranks of '",
        group.name(), "', and the deduplicated exchange can tell ", kMaxLocalRanks,
        " apart: set layout.exchange to another algorithm, or start fewer ranks a node"));
  }
  return RowMulticast(group, std::move(topology));
}

int RowMulticast::Door(int node, int source) const {
  const std::vector<int>& ranks = topology_.ranks_of(node);
  return ranks[static_cast<size_t>(topology_.local_rank(source)) % ranks.size()];
}

int64_t RowMulticast::NumPassed(const MulticastTargets& targets, int door, int mate) const {
  int64_t rows = 0;
  for (int source = 0; source < group_->size(); ++source) {
    if (Door(topology_.node_of(door), source) == door) rows += targets.to_ranks.at(source, mate);
  }
  return rows;
}

int64_t RowMulticast::NumPassed(const MulticastTargets& targets, int rank) const {
  int64_t rows = 0;
  for (const int mate : topology_.ranks_of(topology_.node_of(rank))) {
    rows += NumPassed(targets, rank, mate);
  }
  return rows;
}

absl::StatusOr<LabelledPlans> RowMulticast::Plan(const Context& context, Workspace& space,
                                                 std::span<const MulticastTargets> pieces,
                                                 ConstTensorView labels,
                                                 const WaitPlace& place) const {
  EQ_CHECK(context.device->kind() == DeviceKind::kCpu);
  EQ_CHECK(&space != context.scratch);
  const WorkspaceFrame frame(*context.scratch);
  const MulticastTargets targets = Joined(pieces);
  Workspace& whole_space = pieces.size() == 1 ? space : *context.scratch;
  MulticastPlan whole;
  whole.place = place;
  PlanLeaving(whole_space, targets, whole);
  EQ_ASSIGN_OR_RETURN(const Came came, SendAcross(context, whole, targets.masks, labels));
  PlanPassing(whole_space, came.masks.cpu<int64_t>(), whole);
  PlanArrival(whole_space, targets, whole);

  const auto allocate = [&](Workspace& from, int64_t rows) {
    return from.Allocate(DType::kU8, labels.shape().WithRows(rows));
  };
  const TensorView passed = allocate(*context.scratch, whole.passed_rows.dim(0));
  GatherRows(context, came.labels, whole.passed_rows, passed);
  const TensorView received = allocate(*context.scratch, whole.num_received);
  EQ_RETURN_IF_ERROR(AllToAllRows(*group_, context, passed, whole.inside_send, received,
                                  whole.inside_receive,
                                  {.name = "exchange of labels", .place = place}));
  const TensorView ordered = allocate(space, whole.num_received);
  GatherRows(context, received, whole.arrival_of, ordered);
  if (pieces.size() == 1) return LabelledPlans{{std::move(whole)}, {ordered}};
  LabelledPlans result;
  PlanPieces(context, space, pieces, came.masks.cpu<int64_t>(), ordered, result);
  for (MulticastPlan& plan : result.plans) plan.place = place;
  return result;
}

MulticastTargets RowMulticast::Joined(std::span<const MulticastTargets> pieces) const {
  EQ_CHECK(!pieces.empty());
  MulticastTargets joined = pieces[0];
  int64_t rows = joined.masks.dim(0);
  for (const MulticastTargets& piece : pieces.subspan(1)) {
    EQ_CHECK(piece.masks.raw() == joined.masks.cpu<int64_t>().data() + rows * joined.masks.dim(1));
    rows += piece.masks.dim(0);
    for (int from = 0; from < group_->size(); ++from) {
      for (int to = 0; to < group_->size(); ++to) {
        joined.to_ranks.set(from, to, joined.to_ranks.at(from, to) + piece.to_ranks.at(from, to));
      }
    }
    for (size_t i = 0; i < piece.to_nodes.size(); ++i) joined.to_nodes[i] += piece.to_nodes[i];
  }
  joined.masks = TensorView(joined.masks.raw(), DType::kI64, joined.masks.shape().WithRows(rows),
                            joined.masks.device());
  return joined;
}

absl::StatusOr<RowMulticast::Came> RowMulticast::SendAcross(const Context& context,
                                                            const MulticastPlan& plan,
                                                            ConstTensorView masks,
                                                            ConstTensorView labels) const {
  Workspace& scratch = *context.scratch;
  const size_t label_bytes = static_cast<size_t>(labels.dim(1));
  const size_t row_bytes = sizeof(int64_t) + label_bytes;
  Came came;
  came.masks = scratch.Allocate(DType::kI64, {Sum(plan.across_receive)});
  came.labels = scratch.Allocate(DType::kU8, labels.shape().WithRows(came.masks.dim(0)));
  const WorkspaceFrame frame(scratch);
  const int64_t width = static_cast<int64_t>(row_bytes);
  const TensorView leaving = scratch.Allocate(DType::kU8, {plan.num_leaving(), width});
  const TensorView arrived = scratch.Allocate(DType::kU8, {came.masks.dim(0), width});

  const auto slots = plan.leaving_slots.cpu<int64_t>();
  const size_t nodes = static_cast<size_t>(plan.leaving_slots.dim(1));
  for (size_t entry = 0; entry < slots.size(); ++entry) {
    if (slots[entry] == kNowhere) continue;
    uint8_t* row = leaving.cpu<uint8_t>().data() + static_cast<size_t>(slots[entry]) * row_bytes;
    std::memcpy(row, masks.cpu<int64_t>().data() + entry, sizeof(int64_t));
    std::memcpy(row + sizeof(int64_t), labels.cpu<uint8_t>().data() + entry / nodes * label_bytes,
                label_bytes);
  }
  EQ_RETURN_IF_ERROR(AllToAllRows(*group_, context, leaving, plan.across_send, arrived,
                                  plan.across_receive,
                                  {.name = "exchange of destinations", .place = plan.place}));
  const uint8_t* row = arrived.cpu<uint8_t>().data();
  for (size_t i = 0; i < static_cast<size_t>(arrived.dim(0)); ++i, row += row_bytes) {
    std::memcpy(came.masks.cpu<int64_t>().data() + i, row, sizeof(int64_t));
    std::memcpy(came.labels.cpu<uint8_t>().data() + i * label_bytes, row + sizeof(int64_t),
                label_bytes);
  }
  return came;
}

void RowMulticast::PlanPieces(const Context& context, Workspace& space,
                              std::span<const MulticastTargets> pieces,
                              std::span<const int64_t> masks, ConstTensorView labels,
                              LabelledPlans& result) const {
  const int me = group_->rank();
  const size_t nodes = static_cast<size_t>(topology_.num_nodes());
  // Rows of each piece, in order of source; a source's rows are ordered by piece.
  std::vector<std::vector<int64_t>> masks_of(pieces.size());
  std::vector<std::vector<int64_t>> rows_of(pieces.size());
  size_t next_mask = 0;
  int64_t next_row = 0;
  for (int source = 0; source < group_->size(); ++source) {
    for (size_t i = 0; i < pieces.size(); ++i) {
      if (Door(node(), source) == me) {
        const size_t entry = static_cast<size_t>(source) * nodes + static_cast<size_t>(node());
        const size_t count = static_cast<size_t>(pieces[i].to_nodes[entry]);
        const auto run = masks.subspan(next_mask, count);
        masks_of[i].insert(masks_of[i].end(), run.begin(), run.end());
        next_mask += count;
      }
      for (int64_t n = pieces[i].to_ranks.at(source, me); n > 0; --n) {
        rows_of[i].push_back(next_row++);
      }
    }
  }
  for (size_t i = 0; i < pieces.size(); ++i) {
    MulticastPlan& plan = result.plans.emplace_back();
    PlanLeaving(space, pieces[i], plan);
    PlanPassing(space, masks_of[i], plan);
    PlanArrival(space, pieces[i], plan);
    const TensorView mine = space.Allocate(DType::kU8, labels.shape().WithRows(plan.num_received));
    const WorkspaceFrame frame(*context.scratch);
    const TensorView rows = context.scratch->Allocate(DType::kI64, {plan.num_received});
    EQ_CHECK_EQ(static_cast<int64_t>(rows_of[i].size()), plan.num_received);
    std::copy(rows_of[i].begin(), rows_of[i].end(), rows.cpu<int64_t>().begin());
    GatherRows(context, labels, rows, mine);
    result.labels.push_back(mine);
  }
}

void RowMulticast::PlanLeaving(Workspace& space, const MulticastTargets& targets,
                               MulticastPlan& plan) const {
  const int me = group_->rank();
  const size_t nodes = static_cast<size_t>(topology_.num_nodes());
  const int64_t rows = targets.masks.dim(0);
  const auto to_node = [&](int from, int node) {
    return targets.to_nodes[static_cast<size_t>(from) * nodes + static_cast<size_t>(node)];
  };
  int64_t leaving = 0;
  for (int rank = 0; rank < group_->size(); ++rank) {
    const int to = topology_.node_of(rank);
    plan.across_send.push_back(Door(to, me) == rank ? to_node(me, to) : 0);
    plan.across_receive.push_back(Door(node(), rank) == me ? to_node(rank, node()) : 0);
    leaving += plan.across_send.back();
  }
  plan.leaving_rows = space.Allocate(DType::kI64, {leaving});
  plan.leaving_slots = space.Allocate(DType::kI64, {rows, static_cast<int64_t>(nodes)});
  const auto masks = targets.masks.cpu<int64_t>();
  const auto row_of = plan.leaving_rows.cpu<int64_t>();
  const auto slots = plan.leaving_slots.cpu<int64_t>();
  size_t next = 0;
  for (int rank = 0; rank < group_->size(); ++rank) {
    const int to = topology_.node_of(rank);
    if (Door(to, me) != rank) continue;
    for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
      const size_t entry = row * nodes + static_cast<size_t>(to);
      slots[entry] = masks[entry] == 0 ? kNowhere : static_cast<int64_t>(next);
      if (masks[entry] != 0) row_of[next++] = static_cast<int64_t>(row);
    }
  }
  EQ_CHECK_EQ(static_cast<int64_t>(next), leaving) << "rows by node and masks disagree";
}

void RowMulticast::PlanPassing(Workspace& space, std::span<const int64_t> mask,
                               MulticastPlan& plan) const {
  const size_t locals = mates().size();
  plan.inside_send.assign(static_cast<size_t>(group_->size()), 0);
  plan.passed_slots = space.Allocate(
      DType::kI64, {static_cast<int64_t>(mask.size()), static_cast<int64_t>(locals)});
  const auto slots = plan.passed_slots.cpu<int64_t>();
  int64_t next = 0;
  for (size_t local = 0; local < locals; ++local) {
    const int64_t first = next;
    for (size_t row = 0; row < mask.size(); ++row) {
      slots[row * locals + local] = Wants(mask[row], local) ? next++ : kNowhere;
    }
    plan.inside_send[static_cast<size_t>(mates()[local])] = next - first;
  }
  plan.passed_rows = space.Allocate(DType::kI64, {next});
  const auto row_of = plan.passed_rows.cpu<int64_t>();
  for (size_t entry = 0; entry < slots.size(); ++entry) {
    if (slots[entry] == kNowhere) continue;
    row_of[static_cast<size_t>(slots[entry])] = static_cast<int64_t>(entry / locals);
  }
}

void RowMulticast::PlanArrival(Workspace& space, const MulticastTargets& targets,
                               MulticastPlan& plan) const {
  const int me = group_->rank();
  std::vector<int64_t> begin(static_cast<size_t>(group_->size()));
  plan.inside_receive.assign(static_cast<size_t>(group_->size()), 0);
  for (const int mate : mates()) {
    for (int source = 0; source < group_->size(); ++source) {
      if (Door(node(), source) != mate) continue;
      const int64_t rows = targets.to_ranks.at(source, me);
      begin[static_cast<size_t>(source)] = plan.num_received;
      plan.inside_receive[static_cast<size_t>(mate)] += rows;
      plan.num_received += rows;
    }
  }
  plan.begin_at_mates.assign(static_cast<size_t>(group_->size()), 0);
  plan.begin_at_doors = plan.begin_at_mates;
  for (const int mate : mates()) {
    for (const int before : mates()) {
      if (before == me) break;
      plan.begin_at_mates[static_cast<size_t>(mate)] += NumPassed(targets, before, mate);
      plan.begin_at_doors[static_cast<size_t>(mate)] += NumPassed(targets, mate, before);
    }
  }
  plan.arrival_of = space.Allocate(DType::kI64, {plan.num_received});
  auto arrival = plan.arrival_of.cpu<int64_t>().begin();
  for (int source = 0; source < group_->size(); ++source) {
    const int64_t rows = targets.to_ranks.at(source, me);
    std::iota(arrival, arrival + rows, begin[static_cast<size_t>(source)]);
    arrival += rows;
  }
}

void RowMulticast::AddDelivery(const Context& context, const MulticastPlan& plan,
                               ConstTensorView leaving, TensorView received, int lane,
                               TransferSteps& steps) const {
  const auto allocate = [&](int64_t rows) {
    return context.scratch->Allocate(leaving.dtype(), leaving.shape().WithRows(rows));
  };
  ConstTensorView came = leaving;  // on one node
  if (topology_.num_nodes() > 1) {
    const TensorView arrived = allocate(plan.passed_slots.dim(0));
    AddAllToAllRows(context, leaving, plan.across_send, arrived, plan.across_receive, lane, steps);
    came = arrived;
  }
  const TensorView passed = allocate(plan.passed_rows.dim(0));
  steps.AddLocal([context, came, passed, rows = plan.passed_rows] {
    GatherRows(context, came, rows, passed);
  });
  AddAllToAllRows(context, passed, plan.inside_send, received, plan.inside_receive, lane + 1,
                  steps);
}

void RowMulticast::AddReduction(const Context& context, const MulticastPlan& plan,
                                ConstTensorView rows, bool accumulate, TensorView y, int lane,
                                TransferSteps& steps) const {
  const auto allocate = [&](int64_t count) {
    return context.scratch->Allocate(rows.dtype(), rows.shape().WithRows(count));
  };
  const TensorView passed = allocate(plan.passed_rows.dim(0));
  AddAllToAllRows(context, rows, plan.inside_receive, passed, plan.inside_send, lane, steps);
  AddSums(context, plan, passed, accumulate, y, lane + 1, steps);
}

void RowMulticast::AddDeliveryInPlace(const Context& context, const MulticastPlan& plan,
                                      const MulticastBuffers& buffers, ConstTensorView leaving,
                                      int lane, TransferSteps& steps) const {
  PlacedRows placed = {.from = leaving, .order = plan.passed_rows};
  if (topology_.num_nodes() > 1) {
    const TensorView came = context.scratch->Allocate(
        leaving.dtype(), leaving.shape().WithRows(plan.passed_slots.dim(0)));
    AddAllToAllRows(context, leaving, plan.across_send, came, plan.across_receive, lane, steps);
    placed.from = came;
  }
  int64_t next = 0;
  for (const int mate : mates()) {
    const size_t m = static_cast<size_t>(mate);
    const RowRun run = {next, plan.begin_at_mates[m], plan.inside_send[m]};
    next += run.rows;
    if (run.rows > 0) placed.targets.push_back({mate, buffers.received[m], {run}});
    if (plan.inside_receive[m] > 0) placed.sources.push_back(mate);
  }
  AddPlacedRows(context, *buffers.memory, std::move(placed), lane + 1, steps);
}

void RowMulticast::AddReductionInPlace(const Context& context, const MulticastPlan& plan,
                                       const MulticastBuffers& buffers, ConstTensorView rows,
                                       bool accumulate, TensorView y, int lane,
                                       TransferSteps& steps) const {
  PlacedRows placed = {.from = rows};
  int64_t next = 0;
  for (const int mate : mates()) {
    const size_t m = static_cast<size_t>(mate);
    const RowRun run = {next, plan.begin_at_doors[m], plan.inside_receive[m]};
    next += run.rows;
    if (run.rows > 0) placed.targets.push_back({mate, buffers.passed[m], {run}});
    if (plan.inside_send[m] > 0) placed.sources.push_back(mate);
  }
  AddPlacedRows(context, *buffers.memory, std::move(placed), lane, steps);
  const TensorView passed(buffers.passed[static_cast<size_t>(group_->rank())], rows.dtype(),
                          rows.shape().WithRows(plan.passed_rows.dim(0)), rows.device());
  AddSums(context, plan, passed, accumulate, y, lane + 1, steps);
}

void RowMulticast::AddSums(const Context& context, const MulticastPlan& plan,
                           ConstTensorView passed, bool accumulate, TensorView y, int lane,
                           TransferSteps& steps) const {
  const auto allocate = [&](int64_t count) {
    return context.scratch->Allocate(passed.dtype(), passed.shape().WithRows(count));
  };
  const TensorView came = allocate(plan.passed_slots.dim(0));
  // On one node a rank is its own door.
  const bool across = topology_.num_nodes() > 1;
  const TensorView home = across ? allocate(plan.num_leaving()) : came;
  steps.AddLocal([context, passed, came, slots = plan.passed_slots] {
    GatherRowsBackward(context, passed, slots, /*accumulate=*/false, came);
  });
  if (across) {
    AddAllToAllRows(context, came, plan.across_receive, home, plan.across_send, lane, steps);
  }
  steps.AddLocal([context, home, accumulate, y, slots = plan.leaving_slots] {
    GatherRowsBackward(context, home, slots, accumulate, y);
  });
}

}  // namespace equipoise::comm
