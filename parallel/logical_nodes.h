#ifndef EQUIPOISE_PARALLEL_LOGICAL_NODES_H_
#define EQUIPOISE_PARALLEL_LOGICAL_NODES_H_

#include <string>

#include "absl/status/statusor.h"
#include "comm/topology.h"
#include "parallel/train_options.h"
#include "routing/placement.h"

namespace equipoise::parallel {

// Where logical nodes (routing/locality.h) meet machines.

// Whether anything that is trained depends on how many nodes there are.
bool PrefersNodes(const TrainOptions& options);

// How many there are: as the options say, or, where they leave it open (0) and something prefers
// nodes, as many as the job's machines. InvalidArgument when those are not equal runs of
// neighbouring ranks, or more than the sequences.
absl::StatusOr<int> ResolveNodes(const comm::Topology& topology, const TrainOptions& options);

// Experts on `owners` ranks: the table of the options, or else contiguous runs, within each node's
// owners where nodes are equal runs of them. options.model's number of nodes is resolved.
absl::StatusOr<routing::ExpertPlacement> MakePlacement(const TrainOptions& options, int owners);

// What makes tokens cross the network to experts of their own node: sequences on another machine
// than some of their node's experts that they use, and these experts, each counted once. Empty
// where there are none. options.model's number of nodes is resolved.
std::string DescribeStrays(const comm::Topology& topology,
                           const routing::ExpertPlacement& placement, const TrainOptions& options);

// Preferences that do nothing because there is one node, why, and what to set; empty if there are
// none. `nodes`: the resolved number; `asked`: the configuration's, 0 for the machines.
std::string DescribeIdlePreferences(const TrainOptions& options, int nodes, int asked);

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_LOGICAL_NODES_H_
