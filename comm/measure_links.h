#ifndef EQUIPOISE_COMM_MEASURE_LINKS_H_
#define EQUIPOISE_COMM_MEASURE_LINKS_H_

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "comm/communicator.h"
#include "comm/exchange/node_transport.h"
#include "comm/link_model.h"
#include "comm/topology.h"
#include "core/device/context.h"

namespace equipoise::comm {

struct MeasureLinksOptions {
  // For all classes together. Where even the smallest messages take longer, it takes those.
  absl::Duration budget = absl::Milliseconds(450);
  // What links inside nodes are measured with: see exchange/node_transport.h.
  NodeTransport inside_nodes = NodeTransport::kSharedMemory;
};

// Measures the links of `group`, whose topology is `topology`: messages of 8 bytes, and pieces of
// Link::kSizes, as far as the budget goes, between all ranks of a class at once: around each node,
// and from every node to the others of its group (equal local ranks), from every group to the
// others, so that what ranks share, be it cores or the node's link, is shared while it is measured.
// Back to back; the median of several repeats. Sizes that were not reached have the rate of the one
// before. Classes that the topology lacks stay unknown.
//
// Collective; every rank gets the same figures, bit for bit, which are the slowest rank's. Takes
// memory from context.scratch while it runs.
absl::StatusOr<LinkModel> MeasureLinks(Communicator& group, const Topology& topology,
                                       const Context& context,
                                       const MeasureLinksOptions& options = {});

struct ResolvedLinks {
  LinkModel links;
  MeasuredLinks measured = {};
};
// `given` as rank 0 has it, and, where it leaves out a class that `topology` has, that class as
// measured. Collective; every rank gets the same bits.
absl::StatusOr<ResolvedLinks> ResolveLinks(Communicator& group, const Topology& topology,
                                           const Context& context, const LinkModel& given,
                                           const MeasureLinksOptions& options = {});

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_MEASURE_LINKS_H_
