#include "comm/backends/thread/group.h"

#include <algorithm>
#include <chrono>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "comm/heap_memory.h"

namespace equipoise::comm {
namespace {

// A wait with something to do meanwhile does it this often.
constexpr std::chrono::milliseconds kBetweenCalls{1};

}  // namespace

std::shared_ptr<Group> WorldState::MakeGroup(std::vector<int> world_ranks) {
  auto group = std::make_shared<Group>(*this, std::move(world_ranks));
  const MutexLock lock(mutex_);
  if (!failure_.ok()) group->Fail(failure_);
  std::erase_if(groups_, [](const std::weak_ptr<Group>& other) { return other.expired(); });
  groups_.push_back(group);
  return group;
}

void WorldState::Abort(const std::string& reason) {
  const MutexLock lock(mutex_);
  if (!failure_.ok()) return;
  failure_ = absl::AbortedError(reason);
  for (const std::weak_ptr<Group>& weak : groups_) {
    if (const std::shared_ptr<Group> group = weak.lock()) group->Fail(failure_);
  }
}

Group::Group(WorldState& world, std::vector<int> world_ranks)
    : world_(world), world_ranks_(std::move(world_ranks)), left_(world_ranks_.size(), false) {}

absl::Status Group::Enter(int rank, uint64_t sequence, Entry entry) {
  std::vector<Entry> entries;
  {
    const MutexLock lock(mutex_);
    Op& op = FindOrAdd(sequence);
    if (absl::Status status = CheckAlive(op); !status.ok()) return status;
    op.entries[static_cast<size_t>(rank)] = std::move(entry);
    op.entered[static_cast<size_t>(rank)] = true;
    if (++op.num_entered < world_ranks_.size()) return absl::OkStatus();
    if (op.gave_up >= 0) {
      Finish(op, absl::AbortedError(absl::StrCat("rank ", op.gave_up, " gave up waiting for it")));
      return absl::OkStatus();
    }
    op.phase = Phase::kMoving;
    entries = std::move(op.entries);
  }
  const absl::Status status = Execute(entries);
  const MutexLock lock(mutex_);
  Finish(FindOrAdd(sequence), status);
  return absl::OkStatus();
}

absl::Status Group::CheckAlive(const Op& op) const {
  if (!failure_.ok()) return failure_;
  for (size_t rank = 0; rank < left_.size(); ++rank) {
    if (left_[rank] && !op.entered[rank]) {
      return absl::AbortedError(absl::StrCat("rank ", rank, " has left the communicator"));
    }
  }
  return absl::OkStatus();
}

absl::Status Group::Execute(std::span<const Entry> entries) {
  if (absl::Status status = CheckCompatible(entries); !status.ok()) return status;
  if (entries[0].verb == Verb::kAllocateShared) return AllocateShared(entries);
  if (entries[0].verb == Verb::kSplit) {
    Split(entries);
  } else {
    Move(entries);
  }
  return absl::OkStatus();
}

absl::Status Group::AllocateShared(std::span<const Entry> entries) {
  std::vector<size_t> bytes;
  for (size_t rank = 0; rank < entries.size(); ++rank) {
    if (world_.residence(world_rank(static_cast<int>(rank))).host !=
        world_.residence(world_rank(0)).host) {
      return absl::FailedPreconditionError(
          absl::StrCat("ranks 0 and ", rank, " do not share memory"));
    }
    bytes.push_back(entries[rank].memory->bytes);
    if (bytes.back() <= world_.shared_bytes()) continue;
    return absl::ResourceExhaustedError(absl::StrCat("rank ", rank, " asks for ", bytes.back(),
                                                     " bytes of shared memory, and may have ",
                                                     world_.shared_bytes()));
  }
  const auto memory = std::make_shared<const HeapMemory>(std::move(bytes));
  for (const Entry& entry : entries) entry.memory->memory = memory;
  return absl::OkStatus();
}

void Group::Split(std::span<const Entry> entries) {
  std::map<int, std::vector<std::pair<int, int>>> members;  // color -> (key, rank)
  for (size_t rank = 0; rank < entries.size(); ++rank) {
    const SplitRequest& request = *entries[rank].split;
    members[request.color].emplace_back(request.key, static_cast<int>(rank));
  }
  for (auto& [color, ranks] : members) {
    std::sort(ranks.begin(), ranks.end());
    std::vector<int> new_world_ranks;
    for (const auto& [key, rank] : ranks) new_world_ranks.push_back(world_rank(rank));
    const std::shared_ptr<Group> group = world_.MakeGroup(std::move(new_world_ranks));
    for (size_t i = 0; i < ranks.size(); ++i) {
      SplitRequest& request = *entries[static_cast<size_t>(ranks[i].second)].split;
      request.group = group;
      request.rank = static_cast<int>(i);
    }
  }
}

bool Group::IsDone(uint64_t sequence) {
  const MutexLock lock(mutex_);
  return FindOrAdd(sequence).phase == Phase::kDone;
}

absl::Status Group::Wait(int rank, uint64_t sequence, const WaitOptions& options,
                         const OpLabel& label) {
  WaitClock clock(options, label);
  const MutexLock lock(mutex_);
  Op& op = FindOrAdd(sequence);
  const auto missing = [&op] {
    std::vector<int> ranks;
    for (size_t peer = 0; peer < op.entered.size(); ++peer) {
      if (!op.entered[peer]) ranks.push_back(static_cast<int>(peer));
    }
    return DescribeMissingRanks(ranks, {});
  };
  while (op.phase != Phase::kDone) {
    if (options.meanwhile != nullptr) {
      // It enters other collectives, whose groups take their own locks.
      mutex_.Unlock();
      (*options.meanwhile)();
      mutex_.Lock();
      if (op.phase == Phase::kDone) break;
      changed_.WaitFor(mutex_, kBetweenCalls);
    } else {
      changed_.WaitFor(mutex_, clock.UntilNextEvent());
    }
    if (op.phase != Phase::kGathering) continue;
    if (absl::Status status = clock.Check(missing); !status.ok()) {
      if (op.gave_up < 0) op.gave_up = rank;
      Collect(sequence, op);
      return status;
    }
  }
  const absl::Status outcome = op.status;
  Collect(sequence, op);
  if (outcome.ok()) return outcome;
  return absl::Status(outcome.code(), absl::StrCat(options.Describe(), ": ", label.ToString(), ": ",
                                                   outcome.message()));
}

absl::Status Group::failure() {
  const MutexLock lock(mutex_);
  return failure_;
}

std::vector<bool> Group::left() {
  const MutexLock lock(mutex_);
  return left_;
}

void Group::Fail(const absl::Status& reason) {
  const MutexLock lock(mutex_);
  if (!failure_.ok()) return;
  failure_ = reason;
  for (auto& [sequence, op] : ops_) {
    if (op.phase == Phase::kGathering) Finish(op, failure_);
  }
}

void Group::Leave(int rank) {
  const MutexLock lock(mutex_);
  left_[static_cast<size_t>(rank)] = true;
  for (auto& [sequence, op] : ops_) {
    if (op.phase != Phase::kGathering) continue;
    if (absl::Status status = CheckAlive(op); !status.ok()) Finish(op, status);
  }
}

Group::Op& Group::FindOrAdd(uint64_t sequence) {
  return ops_.try_emplace(sequence, world_ranks_.size()).first->second;
}

void Group::Finish(Op& op, const absl::Status& status) {
  op.phase = Phase::kDone;
  op.status = status;
  changed_.NotifyAll();
}

void Group::Collect(uint64_t sequence, Op& op) {
  if (++op.num_collected == world_ranks_.size()) ops_.erase(sequence);
}

}  // namespace equipoise::comm
