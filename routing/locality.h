#ifndef EQUIPOISE_ROUTING_LOCALITY_H_
#define EQUIPOISE_ROUTING_LOCALITY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"

// Preference for experts on a token's own node. Nodes here are logical: N equal runs of the step's
// sequences and of the experts, whatever machines there are, so that no layout changes a loss. A
// job whose N machines have equal runs of ranks has them where its machines are.
namespace equipoise::routing {

// "locality" (LocMoE, arXiv 2401.13920, section 3, in the discrete form of losses/locality.h):
// coefficient * mean over tokens' home nodes r of KL(P^r || l^r).
struct LocalityLossOptions {
  double coefficient = 0.0;
  // The target l^r: shares of an expert on the home node, on another node of its group, and
  // elsewhere, in proportion (bandwidths, say), of 1 - smoothing. `smoothing` itself, in (0, 1), is
  // spread evenly over the experts away from home: a target of 0 would make the loss infinite.
  double home = 1.0;
  double near = 0.0;
  double far = 0.0;
  double smoothing = 0.05;
};

enum class LocalityBiasMode : uint8_t {
  kNone,
  kFixed,       // `strength` for ever
  kController,  // one strength a node and layer, moved towards a share of copies that stay at home
  kLearned,     // one b[n, e] a node, expert and layer: see locality_bias.h
};

// Added to what experts on a token's home node are ranked by, for the choice alone.
struct LocalityBiasOptions {
  LocalityBiasMode mode = LocalityBiasMode::kNone;
  double strength = 0.0;  // kController, kLearned: at the start
  // kController: after each step, strength += rate * (target - share), within [-limit, limit].
  // kLearned: a step of gradient descent of this rate, towards this share, within the limit.
  double target = 0.75;
  double rate = 0.05;
  double limit = 2.0;
  double decay = 0.0;  // kLearned: of b, besides
};

// FasterMoE's topology gate (He et al., 2022), for K experts: of each sequence at most
// floor(outgoing_share * S) tokens may have experts off their home node. 1: no limit.
struct LocalityQuotaOptions {
  double outgoing_share = 1.0;

  bool enabled() const { return outgoing_share < 1.0; }
};

struct LocalityOptions {
  int num_nodes = 1;  // N; 1: nothing below has an effect
  // Neighbouring nodes that are near to each other; 0: none are.
  int nodes_per_group = 0;
  LocalityLossOptions loss;
  LocalityBiasOptions bias;
  LocalityQuotaOptions quota;

  // Whether anything but plain counting is asked for.
  bool prefers() const {
    return loss.coefficient > 0.0 || bias.mode != LocalityBiasMode::kNone || quota.enabled();
  }
};

// InvalidArgument, naming the field.
absl::Status CheckLocality(const LocalityOptions& options, int num_experts, int top_k);

// The node of each expert [E]: N runs whose sizes differ by at most one, the larger first.
std::vector<int32_t> NodesOfExperts(int num_experts, int num_nodes);

// The first expert of each node, and the end [N + 1].
std::vector<int32_t> FirstExperts(int num_experts, int num_nodes);

// The home node of sequence `index` of `count`: node n has those in [count n / N, count (n+1) / N),
// rounded down, which is what N equal runs of ranks have.
int NodeOfSequence(int64_t index, int64_t count, int num_nodes);

// The distributions l [N, E] of LocalityLossOptions. A node without experts has what its group,
// else everyone, has; where all weights come to nothing, the even one.
std::vector<double> LocalisedTargets(const LocalityOptions& options, int num_experts);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LOCALITY_H_
