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
#include "core/base/status_macros.h"
#include "core/tensor/tensor.h"

namespace equipoise::comm {
namespace {

// Host names are at most 253 characters; longer ones are cut, which could only merge two nodes
// whose first 255 characters agree.
constexpr int64_t kHostBytes = 256;

std::string HostAt(const std::vector<uint8_t>& hosts, int rank) {
  const char* text = reinterpret_cast<const char*>(hosts.data()) + rank * kHostBytes;
  return std::string(text, strnlen(text, kHostBytes));
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
  const std::string host = world.host();
  std::vector<uint8_t> mine(kHostBytes, 0);
  std::memcpy(mine.data(), host.data(), std::min<size_t>(host.size(), kHostBytes - 1));
  EQ_ASSIGN_OR_RETURN(Tensor send, Tensor::Create(*context.device, DType::kU8, {kHostBytes}));
  EQ_ASSIGN_OR_RETURN(Tensor receive,
                      Tensor::Create(*context.device, DType::kU8, {world.size() * kHostBytes}));
  MirrorToDevice<uint8_t>(context, mine, send.view());
  EQ_RETURN_IF_ERROR(AllGather(world, context, send.view(), receive.view(),
                               {.name = "discovering which ranks share a node"}));
  const std::vector<uint8_t> hosts = HostMirror<uint8_t>(context, receive.view());

  std::unordered_map<std::string, int> node_of_host;
  std::vector<int> node_of_rank;
  std::vector<std::string> names;
  for (int rank = 0; rank < world.size(); ++rank) {
    const auto [entry, is_new] =
        node_of_host.try_emplace(HostAt(hosts, rank), static_cast<int>(names.size()));
    if (is_new) names.push_back(entry->first);
    node_of_rank.push_back(entry->second);
  }
  return FromNodes(std::move(node_of_rank), std::move(names));
}

absl::StatusOr<Topology> Topology::FromNodes(std::vector<int> node_of_rank,
                                             std::vector<std::string> node_names) {
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
  topology.node_of_rank_ = std::move(node_of_rank);
  topology.node_names_ = std::move(node_names);
  return topology;
}

LinkClass Topology::link(int from_rank, int to_rank) const {
  if (from_rank == to_rank) return LinkClass::kSelf;
  return node_of(from_rank) == node_of(to_rank) ? LinkClass::kNode : LinkClass::kRemote;
}

std::string Topology::ToString() const {
  std::string text = absl::StrCat(num_ranks(), num_ranks() == 1 ? " rank on " : " ranks on ",
                                  num_nodes(), num_nodes() == 1 ? " node:" : " nodes:");
  for (int node = 0; node < num_nodes(); ++node) {
    absl::StrAppend(&text, node == 0 ? " " : ", ", node_name(node), " {",
                    absl::StrJoin(ranks_of(node), ", "), "}");
  }
  return text;
}

}  // namespace equipoise::comm
