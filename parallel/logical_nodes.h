#ifndef EQUIPOISE_PARALLEL_LOGICAL_NODES_H_
#define EQUIPOISE_PARALLEL_LOGICAL_NODES_H_

#include <string>

#include "absl/status/statusor.h"
#include "comm/topology.h"
#include "parallel/train_options.h"
#include "routing/placement.h"

namespace equipoise::parallel {

// Where logical nodes (routing/locality.h) meet machines.

// How many there are: as the options say, or, where they leave it open (0) and something prefers
// nodes, as many as the job's machines. InvalidArgument when those are not equal runs of
// neighbouring ranks, or more than the sequences.
absl::StatusOr<int> ResolveNodes(const comm::Topology& topology, const TrainOptions& options);

// Experts on `owners` ranks: the table of the options, or else contiguous runs, within each node's
// owners where nodes are equal runs of them. options.model's number of nodes is resolved.
absl::StatusOr<routing::ExpertPlacement> MakePlacement(const TrainOptions& options, int owners);

// What does not lie where a preference takes it to be: sequences or experts on another machine than
// their node. Empty where all is well, or all ranks are on one machine.
std::string DescribeStrays(const comm::Topology& topology,
                           const routing::ExpertPlacement& placement, const TrainOptions& options);

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_LOGICAL_NODES_H_
