#include "comm/topology.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <unordered_map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "comm/collectives.h"
#include "comm/host_mirror.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "core/tensor/tensor.h"

namespace equipoise::comm {
namespace {

// Host names are at most 253 characters; longer ones are cut, which could only merge two nodes
// whose first 255 characters agree.
constexpr int64_t kHostBytes = 256;

// Every rank's text.
absl::StatusOr<std::vector<std::string>> GatherNames(Communicator& world, const Context& context,
                                                     const std::string& mine) {
  std::vector<uint8_t> text(kHostBytes, 0);
  std::memcpy(text.data(), mine.data(), std::min<size_t>(mine.size(), kHostBytes - 1));
  EQ_ASSIGN_OR_RETURN(Tensor send, Tensor::Create(*context.device, DType::kU8, {kHostBytes}));
  EQ_ASSIGN_OR_RETURN(Tensor receive,
                      Tensor::Create(*context.device, DType::kU8, {world.size() * kHostBytes}));
  MirrorToDevice<uint8_t>(context, text, send.view());
  EQ_RETURN_IF_ERROR(AllGather(world, context, send.view(), receive.view(),
                               {.name = "discovering which ranks share a node"}));
  const std::vector<uint8_t> all = HostMirror<uint8_t>(context, receive.view());
  std::vector<std::string> names;
  for (int rank = 0; rank < world.size(); ++rank) {
    const char* name = reinterpret_cast<const char*>(all.data()) + rank * kHostBytes;
    names.emplace_back(name, strnlen(name, kHostBytes));
  }
  return names;
}

// The group of each node, from its ranks.
absl::StatusOr<std::vector<std::string>> GroupsOfNodes(const std::vector<int>& node_of_rank,
                                                       const std::vector<std::string>& nodes,
                                                       const std::vector<std::string>& groups) {
  std::vector<int> first_rank(nodes.size(), -1);
  std::vector<std::string> group_of_node(nodes.size());
  for (size_t rank = 0; rank < groups.size(); ++rank) {
    const auto node = static_cast<size_t>(node_of_rank[rank]);
    if (first_rank[node] < 0) {
      first_rank[node] = static_cast<int>(rank);
      group_of_node[node] = groups[rank];
    } else if (groups[rank] != group_of_node[node]) {
      return absl::InvalidArgumentError(absl::StrCat(
          "topology: on ", nodes[node], " rank ", first_rank[node], " is of node group '",
          group_of_node[node], "' and rank ", rank, " of '", groups[rank],
          "'; EQUIPOISE_NODE_GROUP must be the same for all ranks of a node"));
    }
  }
  for (size_t node = 0; node < nodes.size(); ++node) {
    if (group_of_node[node].empty() == group_of_node[0].empty()) continue;
    const size_t without = group_of_node[node].empty() ? node : 0;
    const size_t with = without == node ? 0 : node;
    return absl::InvalidArgumentError(
        absl::StrCat("topology: ", nodes[without], " is of no node group, ", nodes[with], " of '",
                     group_of_node[with], "'; set EQUIPOISE_NODE_GROUP on all nodes, or on none"));
  }
  return group_of_node;
}

absl::StatusOr<int> CheckNodes(const std::vector<int>& node_of_rank) {
  if (node_of_rank.empty()) return absl::InvalidArgumentError("topology: no ranks");
  const auto [lowest, highest] = std::minmax_element(node_of_rank.begin(), node_of_rank.end());
  if (*lowest < 0) return absl::InvalidArgumentError("topology: negative node number");
  const int num_ranks = static_cast<int>(node_of_rank.size());
  // Checked before anything of that size is allocated: node numbers have no gaps.
  if (*highest >= num_ranks) {
    return absl::InvalidArgumentError(
        absl::StrCat("topology: node ", *highest, " with only ", num_ranks, " ranks"));
  }
  return *highest + 1;
}

}  // namespace

absl::StatusOr<Topology> Topology::Discover(Communicator& world, const Context& context) {
  EQ_ASSIGN_OR_RETURN(const std::vector<std::string> hosts,
                      GatherNames(world, context, world.host()));
  EQ_ASSIGN_OR_RETURN(const std::vector<std::string> groups,
                      GatherNames(world, context, world.node_group()));
  std::unordered_map<std::string, int> node_of_host;
  std::vector<int> node_of_rank;
  std::vector<std::string> names;
  for (int rank = 0; rank < world.size(); ++rank) {
    const auto [entry, is_new] =
        node_of_host.try_emplace(hosts[static_cast<size_t>(rank)], static_cast<int>(names.size()));
    if (is_new) names.push_back(entry->first);
    node_of_rank.push_back(entry->second);
  }
  EQ_ASSIGN_OR_RETURN(const std::vector<std::string> group_of_node,
                      GroupsOfNodes(node_of_rank, names, groups));
  return FromNodes(std::move(node_of_rank), std::move(names), group_of_node);
}

absl::StatusOr<Topology> Topology::FromNodes(std::vector<int> node_of_rank,
                                             std::vector<std::string> node_names,
                                             const std::vector<std::string>& group_of_node) {
  EQ_ASSIGN_OR_RETURN(const int num_nodes, CheckNodes(node_of_rank));
  const bool make_names = node_names.empty();
  Topology topology;
  topology.ranks_of_node_.resize(static_cast<size_t>(num_nodes));
  for (size_t rank = 0; rank < node_of_rank.size(); ++rank) {
    auto& ranks = topology.ranks_of_node_[static_cast<size_t>(node_of_rank[rank])];
    topology.local_rank_.push_back(static_cast<int>(ranks.size()));
    ranks.push_back(static_cast<int>(rank));
  }
  for (int node = 0; node < num_nodes; ++node) {
    if (topology.ranks_of(node).empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("topology: node ", node, " of ", num_nodes, " has no ranks"));
    }
    if (make_names) node_names.push_back(absl::StrCat("node", node));
  }
  if (node_names.size() != static_cast<size_t>(num_nodes)) {
    return absl::InvalidArgumentError(
        absl::StrCat("topology: ", node_names.size(), " names for ", num_nodes, " nodes"));
  }
  EQ_CHECK(group_of_node.empty() || group_of_node.size() == node_names.size());
  for (size_t node = 0; node < node_names.size(); ++node) {
    const std::string group = group_of_node.empty() ? "" : group_of_node[node];
    auto& names = topology.group_names_;
    const auto found = std::find(names.begin(), names.end(), group);
    topology.group_of_node_.push_back(static_cast<int>(found - names.begin()));
    if (found == names.end()) names.push_back(group);
  }
  topology.node_of_rank_ = std::move(node_of_rank);
  topology.node_names_ = std::move(node_names);
  return topology;
}

LinkClass Topology::link(int from_rank, int to_rank) const {
  if (from_rank == to_rank) return LinkClass::kSelf;
  const int from = node_of(from_rank);
  const int to = node_of(to_rank);
  if (from == to) return LinkClass::kNode;
  return group_of(from) == group_of(to) ? LinkClass::kRemote : LinkClass::kFar;
}

bool Topology::has(LinkClass link) const {
  switch (link) {
    case LinkClass::kSelf:
      return true;
    case LinkClass::kNode:
      return num_nodes() < num_ranks();
    case LinkClass::kRemote:
      return num_groups() < num_nodes();
    case LinkClass::kFar:
      return num_groups() > 1;
  }
  return false;
}

std::string Topology::ToString() const {
  std::string text = absl::StrCat(num_ranks(), num_ranks() == 1 ? " rank on " : " ranks on ",
                                  num_nodes(), num_nodes() == 1 ? " node" : " nodes");
  if (num_groups() > 1) absl::StrAppend(&text, " in ", num_groups(), " groups");
  for (int node = 0; node < num_nodes(); ++node) {
    const std::string& group = group_names_[static_cast<size_t>(group_of(node))];
    absl::StrAppend(&text, node == 0 ? ": " : ", ", node_name(node),
                    num_groups() > 1 ? absl::StrCat(" (", group, ")") : "", " {",
                    absl::StrJoin(ranks_of(node), ", "), "}");
  }
  return text;
}

}  // namespace equipoise::comm
