#include "comm/topology.h"

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "comm/backends/thread/run_ranks.h"
#include "core/base/status_macros.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/test_context.h"

namespace equipoise::comm {
namespace {

using ::testing::HasSubstr;

TEST(Topology, HandlesUnevenAndInterleavedNodes) {
  const auto topology = Topology::FromNodes({1, 0, 1, 2, 1});
  ASSERT_TRUE(topology.ok()) << topology.status();
  EXPECT_EQ(topology->num_ranks(), 5);
  EXPECT_EQ(topology->num_nodes(), 3);
  EXPECT_EQ(topology->ranks_of(1), (std::vector<int>{0, 2, 4}));
  EXPECT_EQ(topology->local_rank(4), 2);
  EXPECT_EQ(topology->local_rank(3), 0);
  EXPECT_EQ(topology->link(2, 2), LinkClass::kSelf);
  EXPECT_EQ(topology->link(2, 4), LinkClass::kNode);
  EXPECT_EQ(topology->link(2, 3), LinkClass::kRemote);
  EXPECT_EQ(topology->ToString(), "5 ranks on 3 nodes: node0 {1}, node1 {0, 2, 4}, node2 {3}");
}

TEST(Topology, NamesItsNodes) {
  const auto topology = Topology::FromNodes({0, 0, 1, 1}, {"alpha", "beta"});
  ASSERT_TRUE(topology.ok()) << topology.status();
  EXPECT_EQ(topology->ToString(), "4 ranks on 2 nodes: alpha {0, 1}, beta {2, 3}");
  EXPECT_EQ(Topology::FromNodes({0}, {"one"})->ToString(), "1 rank on 1 node: one {0}");
}

TEST(Topology, KnowsGroupsOfNodes) {
  const auto topology =
      Topology::FromNodes({0, 0, 1, 2, 3}, {"a", "b", "c", "d"}, {"r1", "r2", "r1", "r2"});
  ASSERT_TRUE(topology.ok()) << topology.status();
  EXPECT_EQ(topology->num_groups(), 2);
  EXPECT_EQ(topology->group_of(2), 0);
  EXPECT_EQ(topology->group_of(3), 1);
  EXPECT_EQ(topology->link(0, 1), LinkClass::kNode);
  EXPECT_EQ(topology->link(0, 3), LinkClass::kRemote);
  EXPECT_EQ(topology->link(0, 2), LinkClass::kFar);
  EXPECT_EQ(topology->ToString(),
            "5 ranks on 4 nodes in 2 groups: a (r1) {0, 1}, b (r2) {2}, c (r1) {3}, d (r2) {4}");
  for (const LinkClass link :
       {LinkClass::kSelf, LinkClass::kNode, LinkClass::kRemote, LinkClass::kFar}) {
    EXPECT_TRUE(topology->has(link)) << static_cast<int>(link);
  }
  // A node a group: nothing is remote that is not far.
  const auto lone = Topology::FromNodes({0, 1}, {"a", "b"}, {"r1", "r2"});
  EXPECT_FALSE(lone->has(LinkClass::kNode));
  EXPECT_FALSE(lone->has(LinkClass::kRemote));
  EXPECT_TRUE(lone->has(LinkClass::kFar));
  EXPECT_FALSE(Topology::FromNodes({0, 1})->has(LinkClass::kFar));
}

TEST(Topology, RejectsWhatIsNoLayout) {
  const auto error = [](std::vector<int> nodes, std::vector<std::string> names = {}) {
    return std::string(Topology::FromNodes(std::move(nodes), std::move(names)).status().message());
  };
  EXPECT_EQ(error({}), "topology: no ranks");
  EXPECT_EQ(error({0, -1}), "topology: negative node number");
  EXPECT_EQ(error({0, 2, 2}), "topology: node 1 of 3 has no ranks");
  EXPECT_EQ(error({0, 2000000000}), "topology: node 2000000000 with only 2 ranks");
  EXPECT_EQ(error({0, 1}, {"only"}), "topology: 1 names for 2 nodes");
  EXPECT_EQ(error({0}, {"a", "b"}), "topology: 2 names for 1 nodes");
}

TEST(Topology, DiscoversUnevenNodesInOrderOfAppearance) {
  ThreadWorld::Options options;
  options.num_ranks = 7;
  options.node_of_rank = {5, 2, 5, 5, 9, 2, 5};
  const absl::Status status = RunRanks(options, [](Communicator& world) -> absl::Status {
    testing_support::TestContext memory;
    EQ_ASSIGN_OR_RETURN(const Topology topology, Topology::Discover(world, memory.context()));
    EXPECT_EQ(topology.ToString(),
              "7 ranks on 3 nodes: thread-node5 {0, 2, 3, 6}, thread-node2 {1, 5}, "
              "thread-node9 {4}");
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

// What every rank hears where nodes report these groups.
absl::Status DiscoverWithGroups(std::vector<int> node_of_rank, std::vector<std::string> groups,
                                std::string* text) {
  ThreadWorld::Options options;
  options.num_ranks = static_cast<int>(node_of_rank.size());
  options.node_of_rank = std::move(node_of_rank);
  options.group_of_node = std::move(groups);
  return RunRanks(options, [&](Communicator& world) -> absl::Status {
    testing_support::TestContext memory;
    EQ_ASSIGN_OR_RETURN(const Topology topology, Topology::Discover(world, memory.context()));
    if (world.rank() == 0) *text = topology.ToString();
    return absl::OkStatus();
  });
}

TEST(Topology, DiscoversGroups) {
  std::string text;
  const absl::Status status = DiscoverWithGroups({0, 0, 1, 2}, {"left", "right", "left"}, &text);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(text,
            "4 ranks on 3 nodes in 2 groups: thread-node0 (left) {0, 1}, thread-node1 (right) {2}, "
            "thread-node2 (left) {3}");
}

TEST(Topology, NodesWithoutAGroupAreNamed) {
  std::string text;
  for (const auto& [groups, without, with] :
       {std::tuple{std::vector<std::string>{"left", ""}, "thread-node1", "thread-node0"},
        {{"", "left"}, "thread-node0", "thread-node1"}}) {
    EXPECT_THAT(
        std::string(DiscoverWithGroups({0, 1}, groups, &text).message()),
        HasSubstr(absl::StrCat("topology: ", without, " is of no node group, ", with,
                               " of 'left'; set EQUIPOISE_NODE_GROUP on all nodes, or on none")));
  }
}

}  // namespace
}  // namespace equipoise::comm
