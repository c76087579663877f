#include "comm/topology.h"

#include "absl/strings/match.h"
#include "comm/backends/thread/run_ranks.h"
#include "core/base/status_macros.h"
#include "gtest/gtest.h"
#include "tests/support/test_context.h"

namespace equipoise::comm {
namespace {

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

}  // namespace
}  // namespace equipoise::comm
