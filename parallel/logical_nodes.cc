#include "parallel/logical_nodes.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
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

struct Strays {
  int64_t sequences = 0;  // with an expert of their node on another machine
  int experts = 0;        // with a sequence of their node on another machine
};

// A rank's tokens use the experts of its own group of ranks.
Strays CountStrays(const comm::Topology& topology, const routing::ExpertPlacement& placement,
                   const BatchOptions& batch, int nodes) {
  const BatchLayout layout(batch, topology.num_ranks());
  const std::vector<int32_t> node_of = routing::NodesOfExperts(placement.num_experts(), nodes);
  std::vector<bool> is_stray(node_of.size(), false);
  Strays strays;
  for (int rank = 0; rank < topology.num_ranks(); ++rank) {
    const int group = rank / placement.num_owners() * placement.num_owners();
    // Of each node: whether this machine lacks one of its experts.
    std::vector<bool> lacks(static_cast<size_t>(nodes), false);
    std::vector<bool> is_remote(node_of.size(), false);
    for (size_t e = 0; e < node_of.size(); ++e) {
      const int owner = group + placement.owner_of(static_cast<int>(e));
      is_remote[e] = topology.node_of(owner) != topology.node_of(rank);
      if (is_remote[e]) lacks[static_cast<size_t>(node_of[e])] = true;
    }
    std::vector<bool> lives_here(static_cast<size_t>(nodes), false);
    const SequenceRange range = layout.OfRank(rank);
    for (int64_t i = range.begin; i < range.end; ++i) {
      const auto node = static_cast<size_t>(routing::NodeOfSequence(i, batch.sequences, nodes));
      lives_here[node] = true;
      if (lacks[node]) ++strays.sequences;
    }
    for (size_t e = 0; e < node_of.size(); ++e) {
      if (is_remote[e] && lives_here[static_cast<size_t>(node_of[e])]) is_stray[e] = true;
    }
  }
  strays.experts = static_cast<int>(std::count(is_stray.begin(), is_stray.end(), true));
  return strays;
}

}  // namespace

bool PrefersNodes(const TrainOptions& options) {
  return options.model.moe.router.locality.prefers() || options.data_by_node;
}

absl::StatusOr<int> ResolveNodes(const comm::Topology& topology, const TrainOptions& options) {
  const routing::LocalityOptions& locality = options.model.moe.router.locality;
  int nodes = locality.num_nodes;
  if (nodes == 0) {
    if (!PrefersNodes(options)) return 1;
    if (!AreEqualRuns(topology)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "moe.locality needs nodes of equally many neighbouring ranks, but there are ",
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
  const bool has_experts = options.model.num_dense_layers < options.model.num_layers;
  if (topology.num_nodes() == 1 || nodes == 1 || !has_experts) return "";
  const Strays strays = CountStrays(topology, placement, options.batch, nodes);
  if (strays.sequences == 0) return "";
  return absl::StrCat(
      "moe.locality sees ", nodes, " nodes, the job runs as ", topology.ToString(), ": ",
      strays.sequences, " of ", options.batch.sequences,
      " sequences have experts of their node on ", "another machine, ", strays.experts, " of ",
      placement.num_experts(), " experts in all, so ",
      "tokens that stay on their node may cross the network. Start as many equal ",
      "runs of ranks as nodes, with layout.expert_parallel 0 and no layout.expert_owner");
}

std::string DescribeIdlePreferences(const TrainOptions& options, int nodes, int asked) {
  if (nodes > 1 || !PrefersNodes(options)) return "";
  const routing::LocalityOptions& locality = options.model.moe.router.locality;
  std::vector<std::string> idle;
  if (options.data_by_node) idle.push_back("data.by_node");
  if (locality.bias.mode != routing::LocalityBiasMode::kNone) idle.push_back("moe.locality.bias");
  if (locality.loss.coefficient > 0.0) idle.push_back("moe.locality.loss");
  if (locality.quota.enabled()) idle.push_back("moe.locality.quota");
  return absl::StrCat(absl::StrJoin(idle, ", "), idle.size() > 1 ? " have" : " has",
                      " no effect: there is one node, as ",
                      asked == 0 ? "moe.locality.nodes is 0, which takes the machines that the run "
                                   "begins on, and that was one"
                                 : "moe.locality.nodes says",
                      ". Set moe.locality.nodes to 2 or more, in a --run_dir of its own");
}

}  // namespace equipoise::parallel
