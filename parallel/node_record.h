#ifndef EQUIPOISE_PARALLEL_NODE_RECORD_H_
#define EQUIPOISE_PARALLEL_NODE_RECORD_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "core/io/checkpoint_directory.h"
#include "core/io/manifest.h"

namespace equipoise::parallel {

// The number of logical nodes (routing/locality.h) that a run trains with decides what it learns:
// its checkpoints keep it, so that a run that left it to the job's machines goes on with the same
// on any others.

// Keeps it in a checkpoint's manifest, as `nodes` of its state. For runs in which something prefers
// nodes; to the others the number means nothing.
void RecordNodes(int nodes, Manifest& manifest);

// None of a run in which nothing prefers nodes, or from before this was kept. FailedPrecondition if
// it cannot be read.
absl::StatusOr<std::optional<int>> RecordedNodes(const Checkpoint& checkpoint);

struct NodeChoice {
  int nodes = 0;                     // as moe.locality.nodes: 0 leaves it to the machines
  std::optional<int> recorded = {};  // of the checkpoint
  std::string warning = "";          // empty: none
};

// With how many a run goes on from `checkpoint` whose configuration asks for `asked` (0: whatever
// the run began with). Another number than the checkpoint's is another experiment: a warning with
// `may_differ`, else FailedPrecondition that says what to do.
absl::StatusOr<NodeChoice> ChooseNodes(const Checkpoint& checkpoint, int asked, bool may_differ);

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_NODE_RECORD_H_
