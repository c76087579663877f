// The counts that ranks exchange against those that anybody can count from all ranks' routing.

#include "parallel/exchange_counts.h"

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "comm/backends/thread/run_ranks.h"
#include "comm/topology.h"
#include "core/base/status_macros.h"
#include "gtest/gtest.h"
#include "tests/parallel/routing_scenario.h"
#include "tests/support/test_context.h"

namespace equipoise::parallel {
namespace {

using testing_support::RoutingScenario;

TEST(ChunkOfTokens, ChunksFollowEachOtherAndDifferByAtMostOne) {
  for (const int64_t tokens : {0, 1, 2, 7, 64}) {
    for (const int chunks : {1, 2, 3, 8}) {
      int64_t next = 0;
      for (int chunk = 0; chunk < chunks; ++chunk) {
        const TokenRange range = ChunkOfTokens(tokens, chunk, chunks);
        EXPECT_EQ(range.begin, next);
        EXPECT_GE(range.size(), tokens / chunks);
        EXPECT_LE(range.size(), (tokens + chunks - 1) / chunks);
        next = range.end;
      }
      EXPECT_EQ(next, tokens);
    }
  }
}

// Counts of one rank's tokens [begin, end), one place after the other.
struct Expected {
  std::vector<int64_t> slots, ranks, nodes;
};

Expected CountByHand(const RoutingScenario& scenario, const comm::Topology& topology, int source,
                     TokenRange range) {
  Expected expected;
  expected.slots.resize(static_cast<size_t>(scenario.num_experts));
  expected.ranks.resize(static_cast<size_t>(topology.num_ranks()));
  expected.nodes.resize(static_cast<size_t>(topology.num_nodes()));
  for (int64_t token = range.begin; token < range.end; ++token) {
    std::set<int> ranks, nodes;
    for (int64_t k = 0; k < scenario.top_k; ++k) {
      const size_t at = static_cast<size_t>(token * scenario.top_k + k);
      const int expert = scenario.ids[static_cast<size_t>(source)][at];
      if (expert < 0) continue;
      ++expected.slots[static_cast<size_t>(scenario.placement.slot_of(expert))];
      ranks.insert(scenario.placement.owner_of(expert));
      nodes.insert(topology.node_of(scenario.placement.owner_of(expert)));
    }
    for (const int rank : ranks) ++expected.ranks[static_cast<size_t>(rank)];
    for (const int node : nodes) ++expected.nodes[static_cast<size_t>(node)];
  }
  return expected;
}

void ExpectCounts(const ExchangeCounts& counts, int chunk, int source, const Expected& expected) {
  for (size_t slot = 0; slot < expected.slots.size(); ++slot) {
    EXPECT_EQ(counts.copies(chunk, source, static_cast<int>(slot)), expected.slots[slot]);
  }
  const std::vector<int64_t> to_nodes = counts.TokensToNodes(chunk);
  for (size_t node = 0; node < expected.nodes.size(); ++node) {
    const size_t entry = static_cast<size_t>(source) * expected.nodes.size() + node;
    EXPECT_EQ(to_nodes[entry], expected.nodes[node]);
  }
  EXPECT_EQ(counts.TokensBetweenRanks(chunk).From(source), expected.ranks);
}

absl::Status ExpectTheCountsOfAll(comm::Communicator& world, const RoutingScenario& scenario,
                                  int chunks) {
  testing_support::TestContext memory(size_t{1} << 24);
  EQ_ASSIGN_OR_RETURN(const comm::Topology topology,
                      comm::Topology::Discover(world, memory.context()));
  const std::vector<int32_t>& ids = scenario.ids[static_cast<size_t>(world.rank())];
  const TensorView table =
      memory.Make(DType::kI32, {scenario.num_tokens(world.rank()), scenario.top_k},
                  std::vector<double>(ids.begin(), ids.end()));
  EQ_ASSIGN_OR_RETURN(const ExchangeCounts counts,
                      ExchangeCounts::Gather(world, memory.context(), topology, scenario.placement,
                                             table, chunks, {}, {world.rank() + 7, -world.rank()}));
  EXPECT_EQ(counts.num_chunks(), chunks);
  EXPECT_EQ(counts.num_ranks(), world.size());
  for (int source = 0; source < world.size(); ++source) {
    const PassNanoseconds& pass = counts.last_passes()[static_cast<size_t>(source)];
    EXPECT_EQ(pass.elapsed, source + 7);
    EXPECT_EQ(pass.alone, -source);
  }
  for (int chunk = 0; chunk < chunks; ++chunk) {
    for (int source = 0; source < world.size(); ++source) {
      const TokenRange range = ChunkOfTokens(scenario.num_tokens(source), chunk, chunks);
      EXPECT_EQ(counts.tokens(chunk, source), range.size());
      const Expected expected = CountByHand(scenario, topology, source, range);
      ExpectCounts(counts, chunk, source, expected);
      const comm::RowMatrix copies = counts.CopiesBetweenRanks(chunk, scenario.placement);
      int64_t sum = 0;
      for (const int64_t slot : expected.slots) sum += slot;
      EXPECT_EQ(copies.TotalFrom(source), sum);
    }
  }
  return absl::OkStatus();
}

TEST(ExchangeCounts, EveryRankKnowsWhatAllSend) {
  const std::vector<std::vector<int>> worlds = {{0}, {0, 1}, {0, 1, 0}, {0, 0, 1, 1}};
  for (const std::vector<int>& nodes : worlds) {
    comm::ThreadWorld::Options options;
    options.num_ranks = static_cast<int>(nodes.size());
    options.node_of_rank = nodes;
    for (const RoutingScenario& scenario : testing_support::RoutingScenarios(options.num_ranks)) {
      for (const int chunks : {1, 3}) {
        const absl::Status status = comm::RunRanks(options, [&](comm::Communicator& world) {
          return ExpectTheCountsOfAll(world, scenario, chunks);
        });
        EXPECT_TRUE(status.ok()) << scenario.name << ": " << status;
      }
    }
  }
}

}  // namespace
}  // namespace equipoise::parallel
