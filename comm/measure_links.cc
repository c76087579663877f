#include "comm/measure_links.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "comm/collectives.h"
#include "comm/exchange/node_memory.h"
#include "comm/exchange/placed_rows.h"
#include "comm/exchange/transfer.h"
#include "comm/host_mirror.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "core/ops/elementwise.h"
#include "core/ops/permute.h"
#include "core/tensor/tensor_view.h"

namespace equipoise::comm {
namespace {

constexpr int64_t kRowElements = 256;  // of 4 bytes: pieces are cut into rows of 1 KiB
constexpr int64_t kRowBytes = kRowElements * 4;
// Rows of the longest pieces: inside a node shorter ones tell as much.
constexpr int64_t kMostRows = 2048;
constexpr int64_t kMostRowsInside = 512;
// Of one size, back to back. The first is not timed: networks let a first burst pass unhindered.
constexpr int kRounds = 3;
constexpr size_t kMostRepeats = 7;
constexpr int kMessages = 4;
constexpr int kRepeats = 20;  // of small messages
constexpr int kLeastRepeats = 6;

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The first rows of a buffer, perhaps taken for shorter ones.
TensorView Part(TensorView buffer, int64_t rows, int64_t row_elements) {
  const TensorView flat = buffer.Reshaped({buffer.num_elements()});
  return flat.Rows(0, rows * row_elements).Reshaped({rows, row_elements});
}

// One class of links under measurement.
class Probe {
 public:
  Probe(Communicator& group, const Context& context, double budget)
      : group_(group), context_(context), budget_(budget) {}

  // Moves pieces of so many rows, of kRowElements or of two elements.
  using Round = std::function<absl::Status(int64_t rows, int64_t row_elements)>;

  // With pieces of at most `most_rows`.
  absl::StatusOr<Link> Measure(int64_t most_rows, const Round& round) {
    Link link;
    EQ_ASSIGN_OR_RETURN(link.latency, MeasureLatency(round));
    // Seconds of a round by size, in every repeat. All sizes take turns, so that a busy moment is
    // nobody's own.
    std::array<std::vector<double>, Link::kSizes.size()> samples;
    for (size_t repeat = 0; repeat < kMostRepeats; ++repeat) {
      for (size_t i = 0; i < samples.size(); ++i) {
        const auto rows = static_cast<int64_t>(Link::kSizes[i]) / kRowBytes;
        if (rows > most_rows || !HasTimeFor(samples, i)) break;
        EQ_ASSIGN_OR_RETURN(const double seconds,
                            Time(kRounds, 1, [&] { return round(rows, kRowElements); }));
        samples[i].push_back(seconds);
      }
    }
    for (size_t i = 0; i < samples.size(); ++i) {
      if (samples[i].empty()) {  // taken for as fast as the longest that was measured
        link.seconds_per_byte[i] = link.seconds_per_byte[i - 1];
        continue;
      }
      const double seconds = Median(samples[i]);
      // What a message costs may be more than what is in it.
      link.seconds_per_byte[i] = std::max(seconds - link.latency, 0.05 * seconds) / Link::kSizes[i];
    }
    return link;
  }

 private:
  static double Median(std::vector<double> values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
  }

  // Whether another repeat of size `i` ends within the budget; the very first is taken in any case.
  template <typename Samples>
  bool HasTimeFor(const Samples& samples, size_t i) const {
    if (samples[0].empty()) return true;
    const size_t known = samples[i].empty() ? i - 1 : i;
    if (samples[known].empty()) return false;
    const double seconds = samples[known].back() * Link::kSizes[i] / Link::kSizes[known];
    return spent_ + kRounds * seconds < budget_;
  }

  // Of messages one after the other, a few times at least: a rank that waits for its turn on a core
  // waits for milliseconds.
  absl::StatusOr<double> MeasureLatency(const Round& round) {
    const auto small = [&] { return round(1, 2); };
    EQ_ASSIGN_OR_RETURN(double best, Time(2, 1, small));
    for (int repeat = 0; repeat < kRepeats; ++repeat) {
      if (repeat >= kLeastRepeats && spent_ > 0.1 * budget_) break;
      if (spent_ > 0.5 * budget_) break;
      EQ_ASSIGN_OR_RETURN(const double seconds, Time(kMessages, 1, small));
      best = std::min(best, seconds);
    }
    return best;
  }

  // Seconds of one of `rounds` rounds, without the first `untimed` ones: the slowest rank's, the
  // same on all.
  absl::StatusOr<double> Time(int rounds, int untimed, const std::function<absl::Status()>& round) {
    EQ_RETURN_IF_ERROR(Barrier(group_, context_, {.name = "measuring links"}));
    const double begin = Now();
    double start = begin;
    for (int i = 0; i < rounds; ++i) {
      if (i == untimed) start = Now();
      EQ_RETURN_IF_ERROR(round());
    }
    const double end = Now();
    const WorkspaceFrame frame(*context_.scratch);
    const TensorView times = context_.scratch->Allocate(DType::kF64, {2});
    const std::vector<double> mine = {end - begin, (end - start) / (rounds - untimed)};
    MirrorToDevice<double>(context_, mine, times);
    EQ_RETURN_IF_ERROR(
        AllReduce(group_, context_, times, ReduceOp::kMax, {.name = "measuring links"}));
    const std::vector<double> slowest = HostMirror<double>(context_, times);
    spent_ += slowest[0];
    return slowest[1];
  }

  Communicator& group_;
  const Context context_;
  const double budget_;
  double spent_ = 0.0;
};

// Who sends to whom while a class of links is measured.
class Pattern {
 public:
  // Every rank to the next one of its node.
  static Pattern ThroughNodes(const Topology& topology) {
    Pattern pattern(topology.num_ranks());
    for (int rank = 0; rank < topology.num_ranks(); ++rank) {
      const std::vector<int>& mates = topology.ranks_of(topology.node_of(rank));
      const size_t next = static_cast<size_t>(topology.local_rank(rank) + 1) % mates.size();
      if (mates[next] != rank) pattern.to_[static_cast<size_t>(rank)].push_back(mates[next]);
    }
    return pattern;
  }

  // Every rank to one of each other node of its group (of the next ones, where there are many), so
  // that several send to one at the same time, as in an exchange. The ranks of a node share a
  // piece.
  static Pattern AcrossNodes(const Topology& topology) {
    std::vector<std::vector<int>> nodes_of_group(static_cast<size_t>(topology.num_groups()));
    for (int node = 0; node < topology.num_nodes(); ++node) {
      nodes_of_group[static_cast<size_t>(topology.group_of(node))].push_back(node);
    }
    Pattern pattern(topology.num_ranks());
    for (const std::vector<int>& nodes : nodes_of_group) {
      std::vector<std::vector<int>> ranks;
      for (const int node : nodes) ranks.push_back(topology.ranks_of(node));
      pattern.Across(ranks);
    }
    return pattern;
  }

  // The same between groups of nodes.
  static Pattern AcrossGroups(const Topology& topology) {
    std::vector<std::vector<int>> ranks(static_cast<size_t>(topology.num_groups()));
    for (int rank = 0; rank < topology.num_ranks(); ++rank) {
      ranks[static_cast<size_t>(topology.group_of(topology.node_of(rank)))].push_back(rank);
    }
    Pattern pattern(topology.num_ranks());
    pattern.Across(ranks);
    return pattern;
  }

  // Moves rows of `from` to `to`, both [>= rows + ranks, >= row_elements]. A single row goes to the
  // first target alone.
  absl::Status Pass(Communicator& group, const Context& context, TensorView from, TensorView to,
                    int64_t rows, int64_t row_elements) const {
    const size_t me = static_cast<size_t>(group.rank());
    std::vector<int64_t> send(to_.size(), 0);
    std::vector<int64_t> receive(to_.size(), 0);
    for (size_t rank = 0; rank < to_.size(); ++rank) {
      const size_t targets = rows == 1 ? std::min<size_t>(1, to_[rank].size()) : to_[rank].size();
      for (size_t i = 0; i < targets; ++i) {
        const int64_t share =
            std::max<int64_t>(1, rows / (sharers_[rank] * static_cast<int64_t>(targets)));
        if (rank == me) send[static_cast<size_t>(to_[rank][i])] = share;
        if (to_[rank][i] == group.rank()) receive[rank] = share;
      }
    }
    return AllToAllRows(group, context, Part(from, Sum(send), row_elements), send,
                        Part(to, Sum(receive), row_elements), receive, {.name = "measuring links"});
  }

 private:
  static constexpr size_t kMostTargets = 7;

  // From every set of ranks to the others.
  void Across(const std::vector<std::vector<int>>& sets) {
    const size_t targets = std::min<size_t>(sets.size() - 1, kMostTargets);
    for (size_t set = 0; set < sets.size(); ++set) {
      for (size_t i = 0; i < sets[set].size(); ++i) {
        const auto rank = static_cast<size_t>(sets[set][i]);
        sharers_[rank] = static_cast<int64_t>(sets[set].size());
        for (size_t step = 1; step <= targets; ++step) {
          const std::vector<int>& there = sets[(set + step) % sets.size()];
          to_[rank].push_back(there[i % there.size()]);
        }
      }
    }
  }

  explicit Pattern(int ranks) : to_(static_cast<size_t>(ranks)), sharers_(to_.size(), 1) {}
  static int64_t Sum(const std::vector<int64_t>& counts) {
    return std::accumulate(counts.begin(), counts.end(), int64_t{0});
  }

  std::vector<std::vector<int>> to_;
  std::vector<int64_t> sharers_;
};

// I64 [rows], in context.scratch.
TensorView Backwards(const Context& context, int64_t rows) {
  const TensorView order = context.scratch->Allocate(DType::kI64, {rows});
  std::vector<int64_t> backwards(static_cast<size_t>(rows));
  for (int64_t row = 0; row < rows; ++row) backwards[static_cast<size_t>(row)] = rows - 1 - row;
  MirrorToDevice<int64_t>(context, backwards, order);
  return order;
}

// Every rank writes rows into the memory of the next one of its node, as exchanges do.
class SharedRing {
 public:
  // Null where there is no such memory.
  static absl::StatusOr<std::unique_ptr<SharedRing>> Create(Communicator& group,
                                                            const Topology& topology,
                                                            const Context& context) {
    std::unique_ptr<SharedRing> ring(new SharedRing(group));
    EQ_ASSIGN_OR_RETURN(ring->memory_,
                        NodeMemory::Create(group, topology, context, /*num_lanes=*/1));
    if (ring->memory_ == nullptr) return nullptr;
    const std::vector<size_t> bytes(static_cast<size_t>(group.size()),
                                    static_cast<size_t>(kMostRowsInside * kRowBytes));
    EQ_ASSIGN_OR_RETURN(ring->block_, ring->memory_->Allocate(context, bytes, {}));
    if (ring->block_ == nullptr) return nullptr;
    const std::vector<int>& mates = topology.ranks_of(topology.node_of(group.rank()));
    const size_t me = static_cast<size_t>(topology.local_rank(group.rank()));
    ring->next_ = mates[(me + 1) % mates.size()];
    ring->previous_ = mates[(me + mates.size() - 1) % mates.size()];
    return ring;
  }

  absl::Status Pass(const Context& context, TensorView from, int64_t rows,
                    int64_t row_elements) const {
    const WorkspaceFrame frame(*context.scratch);
    PlacedRows placed;
    if (next_ != group_.rank()) {
      placed.from = Part(from, rows, row_elements);
      placed.order = Backwards(context, rows);
      placed.targets.push_back({next_, block_->of(next_), {{0, 0, rows}}});
      placed.sources.push_back(previous_);
    }
    TransferSteps steps;
    AddPlacedRows(context, *memory_, std::move(placed), /*lane=*/0, steps);
    return steps.RunOn(group_, {.name = "measuring links"});
  }

 private:
  explicit SharedRing(Communicator& group) : group_(group) {}

  Communicator& group_;
  std::unique_ptr<NodeMemory> memory_;
  std::shared_ptr<const NodeMemory::Block> block_;
  int next_ = 0;
  int previous_ = 0;
};

absl::Status CopyInMemory(const Context& context, TensorView from, TensorView to, int64_t rows,
                          int64_t row_elements) {
  const WorkspaceFrame frame(*context.scratch);
  const TensorView order = Backwards(context, rows);
  GatherRows(context, Part(from, rows, row_elements), order, Part(to, rows, row_elements));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<LinkModel> MeasureLinks(Communicator& group, const Topology& topology,
                                       const Context& context, const MeasureLinksOptions& options) {
  EQ_CHECK_EQ(topology.num_ranks(), group.size());
  LinkModel links;
  if (group.size() == 1) return links;
  const WorkspaceFrame frame(*context.scratch);
  // A rank alone on its node may take in the pieces of many.
  const int64_t most_rows = 2 * kMostRows + group.size();
  const TensorView from = context.scratch->Allocate(DType::kF32, {most_rows, kRowElements});
  const TensorView to = context.scratch->Allocate(DType::kF32, {most_rows, kRowElements});
  for (const TensorView buffer : {from, to}) Fill(context, 0.0, buffer);  // memory that is there
  const auto measure = [&](LinkClass link, double share, const Probe::Round& round) {
    Probe probe(group, context, share * absl::ToDoubleSeconds(options.budget));
    const bool inside = link == LinkClass::kSelf || link == LinkClass::kNode;
    const int64_t most_rows = inside ? kMostRowsInside : kMostRows;
    absl::StatusOr<Link> measured = probe.Measure(most_rows, round);
    if (measured.ok()) links[link] = *measured;
    return measured.status();
  };
  const auto around = [&](const Pattern& pattern) {
    return [&, pattern](int64_t rows, int64_t row_elements) {
      return pattern.Pass(group, context, from, to, rows, row_elements);
    };
  };
  EQ_RETURN_IF_ERROR(measure(LinkClass::kSelf, 0.05, [&](int64_t rows, int64_t row_elements) {
    return CopyInMemory(context, from, to, rows, row_elements);
  }));
  if (topology.has(LinkClass::kNode)) {
    std::unique_ptr<SharedRing> ring;
    if (options.inside_nodes == NodeTransport::kSharedMemory) {
      EQ_ASSIGN_OR_RETURN(ring, SharedRing::Create(group, topology, context));
    }
    const Probe::Round in_place = [&](int64_t rows, int64_t row_elements) {
      return ring->Pass(context, from, rows, row_elements);
    };
    EQ_RETURN_IF_ERROR(
        measure(LinkClass::kNode, 0.15,
                ring != nullptr ? in_place : around(Pattern::ThroughNodes(topology))));
  }
  const bool both = topology.has(LinkClass::kRemote) && topology.has(LinkClass::kFar);
  const double share = both ? 0.4 : 0.8;
  if (topology.has(LinkClass::kRemote)) {
    EQ_RETURN_IF_ERROR(measure(LinkClass::kRemote, share, around(Pattern::AcrossNodes(topology))));
  }
  if (topology.has(LinkClass::kFar)) {
    EQ_RETURN_IF_ERROR(measure(LinkClass::kFar, share, around(Pattern::AcrossGroups(topology))));
  }
  return links;
}

absl::StatusOr<ResolvedLinks> ResolveLinks(Communicator& group, const Topology& topology,
                                           const Context& context, const LinkModel& given,
                                           const MeasureLinksOptions& options) {
  constexpr LinkClass kClasses[] = {LinkClass::kSelf, LinkClass::kNode, LinkClass::kRemote,
                                    LinkClass::kFar};
  ResolvedLinks resolved;
  LinkModel& links = resolved.links;
  {
    std::vector<double> numbers;
    for (const LinkClass link : kClasses) {
      numbers.push_back(given[link].latency);
      for (const double rate : given[link].seconds_per_byte) numbers.push_back(rate);
    }
    const WorkspaceFrame frame(*context.scratch);
    const TensorView shared =
        context.scratch->Allocate(DType::kF64, {static_cast<int64_t>(numbers.size())});
    MirrorToDevice<double>(context, numbers, shared);
    EQ_RETURN_IF_ERROR(Broadcast(group, context, shared, 0, {.name = "costs of links"}));
    MirrorToHost<double>(context, shared, std::span<double>(numbers));
    auto next = numbers.begin();
    for (const LinkClass link : kClasses) {
      links[link].latency = *next++;
      for (double& rate : links[link].seconds_per_byte) rate = *next++;
    }
  }
  if (links.Covers(topology)) return resolved;
  EQ_ASSIGN_OR_RETURN(const LinkModel measured, MeasureLinks(group, topology, context, options));
  for (const LinkClass link : kClasses) {
    if (links[link].known()) continue;
    links[link] = measured[link];
    resolved.measured[static_cast<size_t>(link)] = links[link].known();
  }
  return resolved;
}

}  // namespace equipoise::comm
