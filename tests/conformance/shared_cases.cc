#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "comm/collectives.h"
#include "comm/shared_memory.h"
#include "comm/topology.h"
#include "core/base/status_macros.h"
#include "tests/conformance/cases.h"
#include "tests/conformance/expect.h"

namespace equipoise::conformance {
namespace {

using comm::Communicator;
using comm::Flag;
using comm::SharedMemory;
using testing_support::TestContext;

constexpr int kRounds = 30;
constexpr size_t kSlice = 1021;

absl::StatusOr<std::unique_ptr<Communicator>> SplitByNode(Communicator& world,
                                                          TestContext& memory) {
  EQ_ASSIGN_OR_RETURN(const comm::Topology topology,
                      comm::Topology::Discover(world, memory.context()));
  return world.Split(topology.node_of(world.rank()), world.rank(), "node");
}

std::byte Mark(int round, int from, int to, size_t i) {
  return static_cast<std::byte>((round * 31 + from * 7 + to * 3 + static_cast<int>(i)) % 251);
}

// Every rank has a slice for each other one, behind a flag for each.
class Mailboxes {
 public:
  Mailboxes(const SharedMemory& memory, int ranks)
      : memory_(memory), ranks_(static_cast<size_t>(ranks)) {}
  static size_t Bytes(int ranks) { return static_cast<size_t>(ranks) * (Flag::kBytes + kSlice); }

  Flag FlagOf(int owner, int sender) const {
    return Flag(memory_.of(owner).data() + static_cast<size_t>(sender) * Flag::kBytes);
  }
  std::span<std::byte> SliceOf(int owner, int sender) const {
    return memory_.of(owner).subspan(ranks_ * Flag::kBytes + static_cast<size_t>(sender) * kSlice,
                                     kSlice);
  }

 private:
  const SharedMemory& memory_;
  const size_t ranks_;
};

// What a rank writes for round `round` to all but every third rank.
comm::SharedWrites WriteRound(const Mailboxes& boxes, int round, int me, int ranks) {
  comm::SharedWrites writes = {.number = static_cast<uint64_t>(round)};
  for (int peer = 0; peer < ranks; ++peer) {
    if ((me + peer + round) % 3 == 0) continue;  // the same for both of a pair
    const std::span<std::byte> slice = boxes.SliceOf(peer, me);
    for (size_t i = 0; i < slice.size(); ++i) slice[i] = Mark(round, me, peer, i);
    if (peer == me) continue;
    writes.written.push_back(boxes.FlagOf(peer, me));
    writes.awaited.push_back({peer, boxes.FlagOf(me, peer)});
  }
  return writes;
}

absl::Status WritesOfOthersAreSeen(Communicator& world) {
  TestContext memory;
  EQ_ASSIGN_OR_RETURN(const auto node, SplitByNode(world, memory));
  const int ranks = node->size();
  const int me = node->rank();
  EQ_ASSIGN_OR_RETURN(const auto shared, node->AllocateShared(Mailboxes::Bytes(ranks)));
  const Mailboxes boxes(*shared, ranks);
  for (int round = 1; round <= kRounds; ++round) {
    EQ_ASSIGN_OR_RETURN(comm::Work work, node->ExchangeWrites(WriteRound(boxes, round, me, ranks)));
    if (round % 2 == 0) {
      while (!work.Test()) continue;
    }
    EQ_RETURN_IF_ERROR(work.Wait({.name = "writes"}));
    for (int peer = 0; peer < ranks; ++peer) {
      if ((me + peer + round) % 3 == 0) continue;
      const std::span<std::byte> slice = boxes.SliceOf(me, peer);
      for (size_t i = 0; i < slice.size(); ++i) {
        EQ_RETURN_IF_ERROR(ExpectTrue(absl::StrCat("byte ", i, " from ", peer, ", round ", round),
                                      slice[i] == Mark(round, peer, me, i)));
      }
    }
    // Read before it is written again.
    EQ_RETURN_IF_ERROR(comm::Barrier(*node, memory.context()));
  }
  return absl::OkStatus();
}

// Ranks ask for different sizes, and may ask for none.
absl::Status SharedMemoryIsZeroAndOfAnySize(Communicator& world) {
  TestContext memory;
  EQ_ASSIGN_OR_RETURN(const auto node, SplitByNode(world, memory));
  const auto size_of = [](int rank) { return rank == 0 ? size_t{0} : size_t{1000003} * rank; };
  for (int again = 0; again < 3; ++again) {
    EQ_ASSIGN_OR_RETURN(const auto shared, node->AllocateShared(size_of(node->rank())));
    for (int rank = 0; rank < node->size(); ++rank) {
      const std::span<std::byte> part = shared->of(rank);
      EQ_RETURN_IF_ERROR(ExpectTrue("as much as was asked for", part.size() >= size_of(rank)));
      EQ_RETURN_IF_ERROR(
          ExpectTrue("aligned", reinterpret_cast<uintptr_t>(part.data()) % Flag::kBytes == 0));
      EQ_RETURN_IF_ERROR(ExpectTrue("zero", std::all_of(part.begin(), part.end(), [](std::byte b) {
                                      return b == std::byte{};
                                    })));
    }
    EQ_RETURN_IF_ERROR(comm::Barrier(*node, memory.context()));
    std::fill(shared->of(node->rank()).begin(), shared->of(node->rank()).end(), std::byte{1});
    EQ_RETURN_IF_ERROR(comm::Barrier(*node, memory.context()));
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<Case> SharedCases() {
  return {{"WritesOfOthersAreSeen", WritesOfOthersAreSeen},
          {"SharedMemoryIsZeroAndOfAnySize", SharedMemoryIsZeroAndOfAnySize}};
}

}  // namespace equipoise::conformance
