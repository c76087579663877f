#include "comm/exchange/node_memory.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "comm/collectives.h"
#include "comm/wait_clock.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"

namespace equipoise::comm {
namespace {

constexpr size_t kLine = 64;

size_t Aligned(size_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

}  // namespace

NodeMemory::NodeMemory(Communicator& group, Topology topology, int num_lanes)
    : group_(group),
      topology_(std::move(topology)),
      num_lanes_(num_lanes),
      ledger_(group.size()),
      largest_(static_cast<size_t>(group.size()), 0),
      steps_(static_cast<size_t>(num_lanes), 0) {}

NodeMemory::~NodeMemory() = default;

absl::StatusOr<std::unique_ptr<NodeMemory>> NodeMemory::Create(Communicator& group,
                                                               Topology topology,
                                                               const Context& context,
                                                               int num_lanes) {
  EQ_CHECK_EQ(topology.num_ranks(), group.size());
  if (topology.num_nodes() == topology.num_ranks()) return nullptr;
  std::unique_ptr<NodeMemory> memory(new NodeMemory(group, std::move(topology), num_lanes));
  EQ_ASSIGN_OR_RETURN(memory->node_, group.Split(memory->topology_.node_of(group.rank()),
                                                 group.rank(), group.name() + "/node"));
  EQ_RETURN_IF_ERROR(memory->AllocateFlags(context));
  if (memory->exhausted_) return nullptr;
  return memory;
}

absl::Status NodeMemory::AllocateFlags(const Context& context) {
  const size_t flags = static_cast<size_t>(node_->size()) * static_cast<size_t>(num_lanes_);
  absl::StatusOr<std::unique_ptr<SharedMemory>> made = node_->AllocateShared(flags * Flag::kBytes);
  const absl::Status all =
      AgreeOnStatus(group_, context, made.status(), {.name = "agreeing on memory of nodes"});
  if (!all.ok()) return GiveUp(all);
  flags_ = *std::move(made);
  return absl::OkStatus();
}

void NodeMemory::Settle() {
  for (const BlockLedger::Places& places : std::exchange(returned_, {})) ledger_.GiveBack(places);
}

absl::StatusOr<std::shared_ptr<const NodeMemory::Block>> NodeMemory::Allocate(
    const Context& context, std::span<const size_t> bytes, const WaitPlace& place) {
  std::vector<size_t> aligned;
  for (const size_t count : bytes) aligned.push_back(Aligned(count));
  if (exhausted_) return nullptr;
  // A step that needs less than the last one leaves everything in place; one slab is faster to walk
  // than several, and wastes less.
  const bool join = ledger_.empty() && ledger_.num_slabs() > 1;
  std::optional<BlockLedger::Places> places;
  if (!join) places = ledger_.Take(aligned);
  if (!places.has_value()) {
    EQ_RETURN_IF_ERROR(Grow(context, aligned, place));
    if (exhausted_) return nullptr;
    places = ledger_.Take(aligned);
    EQ_CHECK(places.has_value()) << "a new slab is too small";
  }
  return std::shared_ptr<const Block>(new Block(this, *std::move(places)));
}

absl::Status NodeMemory::Grow(const Context& context, std::span<const size_t> bytes,
                              const WaitPlace& place) {
  std::vector<size_t> sizes;
  const bool alone = ledger_.empty();
  for (size_t rank = 0; rank < bytes.size(); ++rank) {
    // What is needed and room to vary in, which single blocks do more than all together; and if
    // there is more to come, twice as much as now.
    const size_t needed = alone ? std::max(bytes[rank], ledger_.high_water(rank)) : bytes[rank];
    largest_[rank] = std::max(largest_[rank], bytes[rank]);
    const size_t larger = Aligned(needed + needed / 8 + largest_[rank] / 2);
    sizes.push_back(alone ? larger : std::max(larger, ledger_.capacity(rank)));
  }
  if (alone) {
    slabs_.clear();
    ledger_.RemoveSlabs();
  }
  const size_t own = sizes[static_cast<size_t>(group_.rank())];
  absl::StatusOr<std::unique_ptr<SharedMemory>> made = node_->AllocateShared(own);
  if (absl::IsDeadlineExceeded(made.status()) || absl::IsUnavailable(made.status())) {
    return made.status();
  }
  const absl::Status all = AgreeOnStatus(group_, context, made.status(),
                                         {.name = "agreeing on memory of nodes", .place = place});
  if (!all.ok()) return GiveUp(all);
  slabs_.push_back(*std::move(made));
  ledger_.AddSlab(sizes);
  return absl::OkStatus();
}

absl::Status NodeMemory::GiveUp(const absl::Status& reason) {
  if (!absl::IsResourceExhausted(reason) && !absl::IsFailedPrecondition(reason) &&
      !absl::IsInternal(reason)) {
    return reason;
  }
  exhausted_ = true;
  if (group_.rank() != 0) return absl::OkStatus();
  ReportToStderr('W', group_.rank(),
                 absl::StrCat("'", group_.name(), "' sends rows inside nodes by messages, because ",
                              "there is no shared memory: ", reason.message(),
                              "; make it larger (docker run --shm-size, mount -o remount,size=), ",
                              "or set layout.node_memory: MESSAGES"));
  return absl::OkStatus();
}

SharedWrites NodeMemory::NextStep(int lane, std::vector<int64_t> bytes_to,
                                  std::span<const int> sources) {
  SharedWrites writes;
  writes.number = ++steps_[static_cast<size_t>(lane)];
  for (int rank = 0; rank < group_.size(); ++rank) {
    if (rank == group_.rank() || bytes_to[static_cast<size_t>(rank)] == 0) continue;
    writes.written.push_back(FlagOf(rank, group_.rank(), lane));
  }
  for (const int source : sources) {
    if (source == group_.rank()) continue;
    writes.awaited.push_back({source, FlagOf(group_.rank(), source, lane)});
  }
  writes.bytes_to = std::move(bytes_to);
  return writes;
}

std::byte* NodeMemory::AddressOf(const BlockLedger::Places& places, int rank) const {
  EQ_CHECK(Reaches(rank)) << "rank " << rank << " is on another node";
  const BlockLedger::Place& place = places[static_cast<size_t>(rank)];
  if (place.size() == 0) return nullptr;
  return slabs_[place.slab]->of(topology_.local_rank(rank)).data() + place.begin;
}

Flag NodeMemory::FlagOf(int receiver, int sender, int lane) const {
  const size_t index =
      static_cast<size_t>(topology_.local_rank(sender)) * static_cast<size_t>(num_lanes_) +
      static_cast<size_t>(lane);
  return Flag(flags_->of(topology_.local_rank(receiver)).data() + index * Flag::kBytes);
}

}  // namespace equipoise::comm
