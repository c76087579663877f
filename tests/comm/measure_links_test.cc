#include "comm/measure_links.h"

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "comm/backends/thread/run_ranks.h"
#include "core/base/status_macros.h"
#include "gtest/gtest.h"
#include "tests/support/test_context.h"

namespace equipoise::comm {
namespace {

// Measures on ranks that live on `node_of_rank`; every rank's figures.
std::vector<LinkModel> MeasureOn(std::vector<int> node_of_rank, absl::Duration budget,
                                 std::vector<std::string> group_of_node = {}) {
  ThreadWorld::Options options;
  options.num_ranks = static_cast<int>(node_of_rank.size());
  options.node_of_rank = std::move(node_of_rank);
  options.group_of_node = std::move(group_of_node);
  std::vector<LinkModel> measured(static_cast<size_t>(options.num_ranks));
  const absl::Status status = RunRanks(options, [&](Communicator& world) -> absl::Status {
    testing_support::TestContext memory;
    const Context& context = memory.context();
    EQ_ASSIGN_OR_RETURN(const Topology topology, Topology::Discover(world, context));
    EQ_ASSIGN_OR_RETURN(measured[static_cast<size_t>(world.rank())],
                        MeasureLinks(world, topology, context, {.budget = budget}));
    EXPECT_TRUE(measured[static_cast<size_t>(world.rank())].Covers(topology));
    EXPECT_EQ(context.scratch->mark(), 0u);
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  return measured;
}

TEST(MeasureLinks, GivesEveryRankTheSameFigures) {
  for (const std::vector<int>& nodes :
       {std::vector<int>{0, 0, 1, 1}, {0, 0, 0, 1}, {0, 1, 2, 0, 1, 0, 0}, {0, 1}, {0, 0, 0}}) {
    const std::vector<LinkModel> measured = MeasureOn(nodes, absl::Milliseconds(50));
    for (const LinkModel& links : measured) {
      EXPECT_EQ(std::memcmp(&links, &measured[0], sizeof(links)), 0);
    }
  }
}

TEST(MeasureLinks, GivesFiguresOfThisWorld) {
  const LinkModel links = MeasureOn({0, 0, 1, 1}, absl::Milliseconds(100))[0];
  for (const LinkClass link : {LinkClass::kSelf, LinkClass::kNode, LinkClass::kRemote}) {
    EXPECT_GT(links[link].latency, 1e-9) << Name(link);
    EXPECT_LT(links[link].latency, 1.0) << Name(link);
    // From 100 kB/s to a byte every 0.001 ns.
    for (const double rate : links[link].seconds_per_byte) {
      EXPECT_GT(rate, 1e-12) << Name(link);
      EXPECT_LT(rate, 1e-5) << Name(link);
    }
  }
}

TEST(MeasureLinks, MeasuresBetweenGroupsOfNodes) {
  const std::vector<LinkModel> measured =
      MeasureOn({0, 0, 1, 2, 3}, absl::Milliseconds(60), {"r1", "r2", "r1", "r2"});
  for (const LinkModel& links : measured) {
    EXPECT_EQ(std::memcmp(&links, &measured[0], sizeof(links)), 0);
    EXPECT_TRUE(links[LinkClass::kRemote].known());
    EXPECT_TRUE(links[LinkClass::kFar].known());
  }
  EXPECT_FALSE(MeasureOn({0, 1}, absl::Milliseconds(20))[0][LinkClass::kFar].known());
  // Groups of one node each.
  EXPECT_FALSE(
      MeasureOn({0, 1}, absl::Milliseconds(20), {"r1", "r2"})[0][LinkClass::kRemote].known());
}

// Every class that was given stays as it is, links between groups too; only others are measured.
TEST(ResolveLinks, MeasuresOnlyWhatWasNotGiven) {
  ThreadWorld::Options options;
  options.num_ranks = 4;
  options.node_of_rank = {0, 1, 2, 3};
  options.group_of_node = {"r1", "r2", "r1", "r2"};
  const absl::Status status = RunRanks(options, [](Communicator& world) -> absl::Status {
    testing_support::TestContext memory;
    const Context& context = memory.context();
    EQ_ASSIGN_OR_RETURN(const Topology topology, Topology::Discover(world, context));
    LinkModel given;
    if (world.rank() == 0) {
      given[LinkClass::kSelf] = {3.0, 1.0};
      given[LinkClass::kFar] = {5.0, 2.0};
    }
    const MeasureLinksOptions quick = {.budget = absl::Milliseconds(20)};
    EQ_ASSIGN_OR_RETURN(ResolvedLinks resolved,
                        ResolveLinks(world, topology, context, given, quick));
    const LinkModel& links = resolved.links;
    EXPECT_EQ(links[LinkClass::kSelf].latency, 3.0);
    EXPECT_EQ(links[LinkClass::kFar].latency, 5.0);
    EXPECT_EQ(links[LinkClass::kFar].seconds_per_byte[2], 2.0);
    EXPECT_TRUE(links[LinkClass::kRemote].known());
    EXPECT_LT(links[LinkClass::kRemote].latency, 1.0);
    EXPECT_EQ(resolved.measured, (MeasuredLinks{false, false, true, false}));
    // And without any, all.
    EQ_ASSIGN_OR_RETURN(resolved, ResolveLinks(world, topology, context, LinkModel(), quick));
    EXPECT_TRUE(links.Covers(topology));
    EXPECT_EQ(resolved.measured, (MeasuredLinks{true, false, true, true}));
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST(MeasureLinks, LeavesOutLinksThatAreNotThere) {
  EXPECT_FALSE(MeasureOn({0, 1}, absl::Milliseconds(20))[0][LinkClass::kNode].known());
  EXPECT_FALSE(MeasureOn({0, 0}, absl::Milliseconds(20))[0][LinkClass::kRemote].known());
  EXPECT_FALSE(MeasureOn({0}, absl::Milliseconds(20))[0][LinkClass::kSelf].known());
}

}  // namespace
}  // namespace equipoise::comm
