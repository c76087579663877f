#include "comm/backends/mpi/node_group.h"

#include <map>
#include <string>

#include "gtest/gtest.h"

namespace equipoise::comm {
namespace {

std::string GroupWith(const std::map<std::string, std::string>& variables) {
  return NodeGroup([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

std::string UnderSlurm(const std::string& address, const std::string& pattern) {
  return GroupWith({{"SLURM_TOPOLOGY_ADDR", address}, {"SLURM_TOPOLOGY_ADDR_PATTERN", pattern}});
}

TEST(NodeGroup, IsWhatTheLauncherSays) {
  EXPECT_EQ(GroupWith({}), "");
  EXPECT_EQ(GroupWith({{"EQUIPOISE_NODE_GROUP", "rack 7"}}), "rack 7");
  EXPECT_EQ(GroupWith({{"EQUIPOISE_NODE_GROUP", ""}}), "");
  EXPECT_EQ(GroupWith({{"EQUIPOISE_NODE_GROUP", "mine"},
                       {"SLURM_TOPOLOGY_ADDR", "s0.n1"},
                       {"SLURM_TOPOLOGY_ADDR_PATTERN", "switch.node"}}),
            "mine");
}

TEST(NodeGroup, IsTheSwitchesAboveANodeUnderSlurm) {
  EXPECT_EQ(UnderSlurm("s0.s1.n7", "switch.switch.node"), "s0.s1");
  EXPECT_EQ(UnderSlurm("s0.n7.example.org", "switch.node"), "s0");
  // No topology, or one that is not as documented.
  EXPECT_EQ(UnderSlurm("n7", "node"), "");
  EXPECT_EQ(UnderSlurm("n7", "switch.node"), "");
  EXPECT_EQ(UnderSlurm("s0.b1", "switch.block"), "");
  EXPECT_EQ(GroupWith({{"SLURM_TOPOLOGY_ADDR", "s0.n7"}}), "");
}

}  // namespace
}  // namespace equipoise::comm
