#ifndef EQUIPOISE_CORE_DATA_NODE_MIXTURE_H_
#define EQUIPOISE_CORE_DATA_NODE_MIXTURE_H_

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/data/mixture.h"

namespace equipoise {

// A mixture dealt out to nodes so that each has few domains and the whole batch keeps its shares.
// The domains' shares are laid end to end, in their order, and cut where the batch is cut into the
// nodes' sequences: node n draws from the domains in its piece, by their parts of it. At most
// nodes - 1 domains are on two nodes or more; of any other, all text goes to one node.
//
// A node's draws are those of a Mixture of its own. A domain on several nodes has the ordinals of
// every block of draws dealt out to them, so that no two nodes see the same sample before its time.
// A plain immutable value; thread-safe.
class NodeMixture {
 public:
  // `sequences`: each node's in a batch, positive. Errors as Mixture::Create.
  static absl::StatusOr<NodeMixture> Create(std::span<const double> shares,
                                            std::span<const int64_t> sequences, uint64_t seed);

  // The draw of the index-th sample of `node`; its ordinal counts over all nodes. O(1).
  Mixture::Draw At(int node, uint64_t index) const;

  // The part of the node's samples that is of `domain`; 0: none.
  double share(int node, int domain) const;
  // The nodes that have text of `domain`; empty for a domain that there is not.
  std::vector<int> NodesOf(int domain) const;
  // The home of a held-out sample: as often a node's as the samples of its domain that train there,
  // by `index`, over any run of them. -1 for a domain that there is not.
  int HomeOfHeldOut(int domain, uint64_t index) const;

 private:
  struct Part {
    int domain = 0;
    uint64_t before = 0;    // ordinals of a block that go to earlier nodes
    uint64_t of_block = 0;  // ordinals of a block on all nodes
  };
  struct Node {
    Mixture mixture;
    std::vector<Part> parts;  // by the mixture's own numbers of domains
    int64_t sequences = 0;    // in a batch
  };

  explicit NodeMixture(std::vector<Node> nodes) : nodes_(std::move(nodes)) {}

  std::vector<Node> nodes_;
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_DATA_NODE_MIXTURE_H_
