#ifndef EQUIPOISE_COMM_BACKENDS_THREAD_GROUP_H_
#define EQUIPOISE_COMM_BACKENDS_THREAD_GROUP_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "comm/backends/thread/move.h"
#include "comm/backends/thread/mutex.h"
#include "comm/shared_memory.h"
#include "comm/wait_clock.h"

namespace equipoise::comm {

class Group;

// What all groups of one thread world share. Thread-safe.
class WorldState {
 public:
  // Where a rank pretends to live.
  struct Residence {
    std::string host;
    std::string node_group;
  };

  // `residences[r]`: of world rank r.
  WorldState(std::vector<Residence> residences, const Patience& patience, size_t shared_bytes)
      : residences_(std::move(residences)), patience_(patience), shared_bytes_(shared_bytes) {}

  // A group of `size` ranks that fails when this world does; it fails at once in one that has.
  std::shared_ptr<Group> MakeGroup(std::vector<int> world_ranks) ABSL_LOCKS_EXCLUDED(mutex_);
  // Fails every group with Aborted. The first reason stays.
  void Abort(const std::string& reason) ABSL_LOCKS_EXCLUDED(mutex_);

  const Residence& residence(int world_rank) const {
    return residences_[static_cast<size_t>(world_rank)];
  }
  const Patience& patience() const { return patience_; }
  // The most that one rank may share at a time.
  size_t shared_bytes() const { return shared_bytes_; }

 private:
  const std::vector<Residence> residences_;
  const Patience patience_;
  const size_t shared_bytes_;

  Mutex mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::weak_ptr<Group>> groups_ ABSL_GUARDED_BY(mutex_);
};

// One rank's part of a split. Lives on its caller's stack; the last rank to arrive fills it in.
struct SplitRequest {
  int color = 0;
  int key = 0;
  // Result: the new group and the caller's rank in it.
  std::shared_ptr<Group> group = nullptr;
  int rank = 0;
};

// One rank's part of an allocation of shared memory, likewise.
struct MemoryRequest {
  size_t bytes = 0;
  // Result: of all ranks.
  std::shared_ptr<const SharedMemory> memory = nullptr;
};

// Where the ranks of one communicator meet. Thread-safe.
//
//  1. A collective is found by its number: the k-th call of every rank belongs together.
//  2. It is gathering until the last rank has entered; that rank's thread then moves everyone's
//     bytes. So a collective needs no thread of its own, and completes without the others calling.
//  3. The moving thread touches peers' tensors without the lock. While a collective moves, nobody
//     gives up on it: a wait returns only before (nothing will be touched any more) or after.
//  4. A collective that a rank has given up on never moves; it fails for whoever is still waiting.
//  5. A rank that leaves fails every collective it has not entered.
class Group {
 public:
  Group(WorldState& world, std::vector<int> world_ranks);

  int size() const { return static_cast<int>(world_ranks_.size()); }
  int world_rank(int rank) const { return world_ranks_[static_cast<size_t>(rank)]; }

  // Adds `rank`'s part of its collective number `sequence`. Aborted when the group has failed.
  absl::Status Enter(int rank, uint64_t sequence, Entry entry) ABSL_LOCKS_EXCLUDED(mutex_);
  // True when the collective is complete or has failed.
  bool IsDone(uint64_t sequence) ABSL_LOCKS_EXCLUDED(mutex_);
  // Waits until it is. Each rank that has entered calls it exactly once, last.
  absl::Status Wait(int rank, uint64_t sequence, const WaitOptions& options, const OpLabel& label)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Why the group has failed, if it has. And the ranks that have left; what they did before that is
  // seen by the caller.
  absl::Status failure() ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<bool> left() ABSL_LOCKS_EXCLUDED(mutex_);

  void Fail(const absl::Status& reason) ABSL_LOCKS_EXCLUDED(mutex_);
  void Leave(int rank) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  enum class Phase : uint8_t { kGathering, kMoving, kDone };
  struct Op {
    explicit Op(size_t size) : entries(size), entered(size, false) {}
    std::vector<Entry> entries;
    std::vector<bool> entered;
    size_t num_entered = 0;
    size_t num_collected = 0;
    int gave_up = -1;  // the first rank that stopped waiting
    Phase phase = Phase::kGathering;
    absl::Status status;
  };

  // Status of an operation that `rank` is about to enter and that cannot succeed any more.
  absl::Status CheckAlive(const Op& op) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Op& FindOrAdd(uint64_t sequence) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Finish(Op& op, const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Collect(uint64_t sequence, Op& op) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Execute(std::span<const Entry> entries);
  void Split(std::span<const Entry> entries);
  absl::Status AllocateShared(std::span<const Entry> entries);

  WorldState& world_;
  const std::vector<int> world_ranks_;

  Mutex mutex_;
  CondVar changed_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  std::vector<bool> left_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, Op> ops_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_BACKENDS_THREAD_GROUP_H_
