#include "parallel/logical_nodes.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "parallel/batch_layout.h"
#include "routing/locality.h"

namespace equipoise::parallel {
namespace {

bool AreEqualRuns(const comm::Topology& topology) {
  const int ranks = topology.num_ranks();
  const int nodes = topology.num_nodes();
  if (ranks % nodes != 0) return false;
  for (int rank = 0; rank < ranks; ++rank) {
    if (topology.node_of(rank) != rank / (ranks / nodes)) return false;
  }
  return true;
}

int64_t StraySequences(const comm::Topology& topology, const BatchOptions& batch, int nodes) {
  const BatchLayout layout(batch, topology.num_ranks());
  int64_t strays = 0;
  for (int rank = 0; rank < topology.num_ranks(); ++rank) {
    const SequenceRange range = layout.OfRank(rank);
    for (int64_t i = range.begin; i < range.end; ++i) {
      if (routing::NodeOfSequence(i, batch.sequences, nodes) != topology.node_of(rank)) ++strays;
    }
  }
  return strays;
}

// Of all copies of the experts: every group of ranks has one.
int StrayExperts(const comm::Topology& topology, const routing::ExpertPlacement& placement,
                 int nodes) {
  const std::vector<int32_t> node_of = routing::NodesOfExperts(placement.num_experts(), nodes);
  int strays = 0;
  for (int expert = 0; expert < placement.num_experts(); ++expert) {
    for (int rank = placement.owner_of(expert); rank < topology.num_ranks();
         rank += placement.num_owners()) {
      if (node_of[static_cast<size_t>(expert)] != topology.node_of(rank)) ++strays;
    }
  }
  return strays;
}

}  // namespace

absl::StatusOr<int> ResolveNodes(const comm::Topology& topology, const TrainOptions& options) {
  const routing::LocalityOptions& locality = options.model.moe.router.locality;
  int nodes = locality.num_nodes;
  if (nodes == 0) {
    if (!locality.prefers() && !options.data_by_node) return 1;
    if (!AreEqualRuns(topology)) {
      return absl::InvalidArgumentError(
          absl::StrCat("locality needs nodes of equally many neighbouring ranks, but there are ",
                       topology.ToString(), ". Start the job so, or set moe.locality.nodes"));
    }
    nodes = topology.num_nodes();
  }
  if (nodes <= options.batch.sequences) return nodes;
  return absl::InvalidArgumentError(
      absl::StrCat("moe.locality.nodes is ", nodes, ", more than the ", options.batch.sequences,
                   " of batch.sequences: a node would never see a token"));
}

absl::StatusOr<routing::ExpertPlacement> MakePlacement(const TrainOptions& options, int owners) {
  const std::vector<int>& table = options.layout.expert_owner;
  if (!table.empty()) return routing::ExpertPlacement::FromTable(table, owners);
  // A model of dense layers alone has no experts to place; a placement has at least one.
  const int experts = std::max(options.model.moe.router.num_experts, 1);
  const int nodes = options.model.moe.router.locality.num_nodes;
  if (nodes == 1 || owners % nodes != 0) {
    return routing::ExpertPlacement::Contiguous(experts, owners);
  }
  const int owners_of_node = owners / nodes;
  const std::vector<int32_t> first = routing::FirstExperts(experts, nodes);
  std::vector<int> owner_of;
  for (int node = 0; node < nodes; ++node) {
    const int size = first[static_cast<size_t>(node) + 1] - first[static_cast<size_t>(node)];
    for (const int32_t owner : routing::NodesOfExperts(size, owners_of_node)) {
      owner_of.push_back(node * owners_of_node + owner);
    }
  }
  return routing::ExpertPlacement::FromTable(std::move(owner_of), owners);
}

std::string DescribeStrays(const comm::Topology& topology,
                           const routing::ExpertPlacement& placement, const TrainOptions& options) {
  const int nodes = options.model.moe.router.locality.num_nodes;
  if (topology.num_nodes() == 1 || nodes == 1) return "";
  const int64_t sequences = StraySequences(topology, options.batch, nodes);
  const int experts = StrayExperts(topology, placement, nodes);
  if (sequences == 0 && experts == 0) return "";
  const int copies = placement.num_experts() * topology.num_ranks() / placement.num_owners();
  return absl::StrCat("moe.locality sees ", nodes, " nodes, the job runs as ", topology.ToString(),
                      ": ", sequences, " of ", options.batch.sequences, " sequences and ", experts,
                      " of ", copies, " experts are on another machine than their node, so tokens ",
                      "that stay on their node may cross the network. Start as many equal runs of ",
                      "ranks as nodes, with layout.expert_parallel 0 and no layout.expert_owner");
}

}  // namespace equipoise::parallel
