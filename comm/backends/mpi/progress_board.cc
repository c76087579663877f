#include "comm/backends/mpi/progress_board.h"

#include <algorithm>
#include <atomic>
#include <chrono>

#include "comm/backends/mpi/status.h"
#include "core/base/status_macros.h"

namespace equipoise::comm {
namespace {

// Behind the counts.
constexpr int kBeatSlot = ProgressBoard::kSlots;
constexpr int kGuardSlot = kBeatSlot + 1;
constexpr int kLossSlot = kGuardSlot + 1;
constexpr int kWords = kLossSlot + 1;

// Of the clock that all processes of a node share.
uint64_t NanosecondsNow() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

uint64_t Load(uint64_t* word) {
  return std::atomic_ref<uint64_t>(*word).load(std::memory_order_relaxed);
}

void Store(uint64_t* word, uint64_t value) {
  std::atomic_ref<uint64_t>(*word).store(value, std::memory_order_relaxed);
}

// How long ago a time of NanosecondsNow() was.
absl::Duration Since(uint64_t then) {
  const uint64_t now = NanosecondsNow();
  return absl::Nanoseconds(now > then ? now - then : 0);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ProgressBoard>> ProgressBoard::Create(MPI_Comm world) {
  std::unique_ptr<ProgressBoard> board(new ProgressBoard);
  EQ_RETURN_IF_MPI_ERROR(
      MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &board->node_));
  EQ_RETURN_IF_MPI_ERROR(MPI_Win_allocate_shared(kWords * sizeof(uint64_t), sizeof(uint64_t),
                                                 MPI_INFO_NULL, board->node_, &board->mine_,
                                                 &board->window_));
  std::fill_n(board->mine_, kWords, uint64_t{0});
  board->Beat();
  EQ_RETURN_IF_ERROR(board->MapNode(world));
  // Nobody reads before everyone has cleared its part.
  EQ_RETURN_IF_MPI_ERROR(MPI_Barrier(board->node_));
  return board;
}

absl::Status ProgressBoard::MapNode(MPI_Comm world) {
  int world_size = 0;
  int world_rank = 0;
  int node_size = 0;
  EQ_RETURN_IF_MPI_ERROR(MPI_Comm_size(world, &world_size));
  EQ_RETURN_IF_MPI_ERROR(MPI_Comm_rank(world, &world_rank));
  EQ_RETURN_IF_MPI_ERROR(MPI_Comm_size(node_, &node_size));
  std::vector<int> world_ranks(static_cast<size_t>(node_size));
  EQ_RETURN_IF_MPI_ERROR(
      MPI_Allgather(&world_rank, 1, MPI_INT, world_ranks.data(), 1, MPI_INT, node_));
  node_ranks_ = world_ranks;
  slots_of_rank_.assign(static_cast<size_t>(world_size), nullptr);
  for (int peer = 0; peer < node_size; ++peer) {
    MPI_Aint bytes = 0;
    int unit = 0;
    uint64_t* slots = nullptr;
    EQ_RETURN_IF_MPI_ERROR(MPI_Win_shared_query(window_, peer, &bytes, &unit, &slots));
    slots_of_rank_[static_cast<size_t>(world_ranks[static_cast<size_t>(peer)])] = slots;
  }
  return absl::OkStatus();
}

ProgressBoard::~ProgressBoard() {
  if (window_ != MPI_WIN_NULL) MPI_Win_free(&window_);
  if (node_ != MPI_COMM_NULL) MPI_Comm_free(&node_);
}

void ProgressBoard::Publish(int slot, uint64_t count) {
  if (slot < kSlots) Store(&mine_[slot], count);
}

void ProgressBoard::Beat() { Store(&mine_[kBeatSlot], NanosecondsNow()); }

std::optional<absl::Duration> ProgressBoard::SilentFor(int world_rank) const {
  uint64_t* words = WordsOf(world_rank);
  if (words == nullptr) return std::nullopt;
  return Since(Load(&words[kBeatSlot]));
}

std::optional<uint64_t> ProgressBoard::Read(int world_rank, int slot) const {
  uint64_t* words = WordsOf(world_rank);
  if (slot >= kSlots || words == nullptr) return std::nullopt;
  return Load(&words[slot]);
}

void ProgressBoard::BeatGuard() { Store(&mine_[kGuardSlot], NanosecondsNow()); }

absl::Duration ProgressBoard::GuardSilentFor(int world_rank) const {
  return Since(Load(&WordsOf(world_rank)[kGuardSlot]));
}

void ProgressBoard::PublishLoss(uint64_t loss) { Store(&mine_[kLossSlot], loss); }

uint64_t ProgressBoard::ReadLoss(int world_rank) const {
  return Load(&WordsOf(world_rank)[kLossSlot]);
}

}  // namespace equipoise::comm
