#include "comm/exchange/row_multicast.h"

#include <algorithm>
#include <numeric>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "comm/collectives.h"
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

absl::StatusOr<MulticastPlan> RowMulticast::Plan(const Context& context, Workspace& space,
                                                 const MulticastTargets& targets,
                                                 const WaitPlace& place) const {
  EQ_CHECK(context.device->kind() == DeviceKind::kCpu);
  MulticastPlan plan;
  plan.place = place;
  PlanLeaving(context, space, targets, plan);

  const WorkspaceFrame frame(*context.scratch);
  const TensorView leaving = context.scratch->Allocate(DType::kI64, {plan.num_leaving()});
  const int64_t nodes = topology_.num_nodes();
  const auto masks = targets.masks.cpu<int64_t>();
  const auto slots = plan.leaving_slots.cpu<int64_t>();
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i] != kNowhere) leaving.cpu<int64_t>()[static_cast<size_t>(slots[i])] = masks[i];
  }
  EQ_CHECK_EQ(targets.masks.dim(1), nodes);
  const TensorView came = context.scratch->Allocate(DType::kI64, {Sum(plan.across_receive)});
  EQ_RETURN_IF_ERROR(AllToAllRows(*group_, context, leaving, plan.across_send, came,
                                  plan.across_receive,
                                  {.name = "exchange of destinations", .place = place}));
  PlanPassing(context, space, came, plan);
  PlanArrival(context, space, targets, plan);
  return plan;
}

void RowMulticast::PlanLeaving(const Context&, Workspace& space, const MulticastTargets& targets,
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

void RowMulticast::PlanPassing(const Context&, Workspace& space, ConstTensorView masks,
                               MulticastPlan& plan) const {
  const auto mask = masks.cpu<int64_t>();
  const size_t locals = mates().size();
  plan.inside_send.assign(static_cast<size_t>(group_->size()), 0);
  plan.passed_slots = space.Allocate(DType::kI64, {masks.dim(0), static_cast<int64_t>(locals)});
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

void RowMulticast::PlanArrival(const Context&, Workspace& space, const MulticastTargets& targets,
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
  plan.arrival_of = space.Allocate(DType::kI64, {plan.num_received});
  auto arrival = plan.arrival_of.cpu<int64_t>().begin();
  for (int source = 0; source < group_->size(); ++source) {
    const int64_t rows = targets.to_ranks.at(source, me);
    std::iota(arrival, arrival + rows, begin[static_cast<size_t>(source)]);
    arrival += rows;
  }
}

absl::StatusOr<TensorView> RowMulticast::Deliver(const Context& context, Workspace& space,
                                                 const MulticastPlan& plan, ConstTensorView leaving,
                                                 const char* what) const {
  const WaitOptions wait = {.name = what, .place = plan.place};
  const auto shape = [&](int64_t rows) { return leaving.shape().WithRows(rows); };
  const TensorView received = space.Allocate(leaving.dtype(), shape(plan.num_received));
  const WorkspaceFrame frame(*context.scratch);
  const TensorView came =
      context.scratch->Allocate(leaving.dtype(), shape(plan.passed_slots.dim(0)));
  EQ_RETURN_IF_ERROR(
      AllToAllRows(*group_, context, leaving, plan.across_send, came, plan.across_receive, wait));
  const TensorView passed =
      context.scratch->Allocate(leaving.dtype(), shape(plan.passed_rows.dim(0)));
  GatherRows(context, came, plan.passed_rows, passed);
  EQ_RETURN_IF_ERROR(AllToAllRows(*group_, context, passed, plan.inside_send, received,
                                  plan.inside_receive, wait));
  return received;
}

absl::Status RowMulticast::Reduce(const Context& context, const MulticastPlan& plan,
                                  ConstTensorView rows, bool accumulate, TensorView y,
                                  const char* what) const {
  const WaitOptions wait = {.name = what, .place = plan.place};
  const auto shape = [&](int64_t count) { return rows.shape().WithRows(count); };
  const WorkspaceFrame frame(*context.scratch);
  const TensorView passed = context.scratch->Allocate(rows.dtype(), shape(plan.passed_rows.dim(0)));
  EQ_RETURN_IF_ERROR(
      AllToAllRows(*group_, context, rows, plan.inside_receive, passed, plan.inside_send, wait));
  const TensorView came = context.scratch->Allocate(rows.dtype(), shape(plan.passed_slots.dim(0)));
  GatherRowsBackward(context, passed, plan.passed_slots, /*accumulate=*/false, came);
  const TensorView home = context.scratch->Allocate(rows.dtype(), shape(plan.num_leaving()));
  EQ_RETURN_IF_ERROR(
      AllToAllRows(*group_, context, came, plan.across_receive, home, plan.across_send, wait));
  GatherRowsBackward(context, home, plan.leaving_slots, accumulate, y);
  return absl::OkStatus();
}

}  // namespace equipoise::comm
