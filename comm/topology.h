#ifndef EQUIPOISE_COMM_TOPOLOGY_H_
#define EQUIPOISE_COMM_TOPOLOGY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "comm/communicator.h"

namespace equipoise::comm {

// What lies between two ranks.
enum class LinkClass : uint8_t {
  kSelf,
  kNode,
  kRemote,  // another node of the same group
  kFar,     // a node of another group
};
inline constexpr int kNumLinkClasses = 4;

// Which node every rank of the world lives on, and which nodes form groups: racks, leaf switches,
// whatever has a slower link to the others. A value; the same on all ranks.
class Topology {
 public:
  // From the hosts and groups that ranks report (Communicator::host, node_group). InvalidArgument
  // where ranks of a node disagree about its group, or some nodes have one and others none.
  // Collective over `world`.
  static absl::StatusOr<Topology> Discover(Communicator& world, const Context& context);
  // `node_of_rank[r]` for every rank; nodes are 0, 1, ... without gaps (InvalidArgument else).
  // Any layout is legal: ranks of a node need not be neighbours, nodes may differ in size.
  // `group_of_node`: names; empty: all are in one.
  static absl::StatusOr<Topology> FromNodes(std::vector<int> node_of_rank,
                                            std::vector<std::string> node_names = {},
                                            const std::vector<std::string>& group_of_node = {});

  int num_ranks() const { return static_cast<int>(node_of_rank_.size()); }
  int num_nodes() const { return static_cast<int>(ranks_of_node_.size()); }
  int node_of(int rank) const { return node_of_rank_[static_cast<size_t>(rank)]; }
  // Position of `rank` among the ranks of its node, in rank order.
  int local_rank(int rank) const { return local_rank_[static_cast<size_t>(rank)]; }
  const std::vector<int>& ranks_of(int node) const {
    return ranks_of_node_[static_cast<size_t>(node)];
  }
  const std::string& node_name(int node) const { return node_names_[static_cast<size_t>(node)]; }
  int num_groups() const { return static_cast<int>(group_names_.size()); }
  int group_of(int node) const { return group_of_node_[static_cast<size_t>(node)]; }
  LinkClass link(int from_rank, int to_rank) const;
  // Whether any two ranks have such a link.
  bool has(LinkClass link) const;
  // "4 ranks on 2 nodes: alpha {0, 1}, beta {2, 3}"; with groups "... on 2 nodes in 2 groups: alpha
  // (rack1) {0, 1}, beta (rack2) {2, 3}".
  std::string ToString() const;

 private:
  std::vector<int> node_of_rank_;
  std::vector<int> local_rank_;
  std::vector<std::vector<int>> ranks_of_node_;
  std::vector<std::string> node_names_;
  std::vector<int> group_of_node_;
  std::vector<std::string> group_names_;  // in order of appearance; one without a name: no groups
};

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_TOPOLOGY_H_
