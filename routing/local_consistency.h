#ifndef EQUIPOISE_ROUTING_LOCAL_CONSISTENCY_H_
#define EQUIPOISE_ROUTING_LOCAL_CONSISTENCY_H_

#include <cstdint>
#include <optional>
#include <span>

// How long neighbouring tokens keep to the same experts (Liang et al., "Not all models suit expert
// offloading: on local routing consistency of MoE models", arXiv 2505.16056): what a cache of
// experts, or of nodes, could make of a routing. "Items" are experts, or the nodes that own them.
namespace equipoise::routing {

struct ConsistencyOptions {
  int num_items = 1;  // ids are in [0, num_items)
  int segment = 16;   // m, tokens of a window
  int cache = 1;      // items that a cache holds
};

// Integers of some sequences; they add up over sequences, layouts and steps.
//   [0, m]   windows of m neighbouring tokens, times items, by how many of the m use the item
//   [m + 1]  items that tokens needed and the cache held
//   [m + 2]  items that tokens needed
inline int64_t NumConsistencyCounts(const ConsistencyOptions& options) {
  return options.segment + 3;
}

// Adds one sequence, ids [S, K]; ids below 0 are passed over, repeated ones of a token count once.
// A sequence shorter than m has no window.
//
// The cache is the paper's best one: after each token what the token missed comes in, and of all
// the `cache` items most used by the next m tokens stay (ties: those used last, then the lowest
// id). It starts empty; filling it is no miss, as in the paper's code.
void CountConsistency(const ConsistencyOptions& options, std::span<const int32_t> ids, int top_k,
                      std::span<double> counts);

// The best segment router: one that keeps an item for a whole window or not at all.
struct SegmentRouting {
  double performance = 0.0;  // SRP: its F1 against the real routing, in (0, 1]
  double size = 0.0;         // items it keeps a token, over those that tokens use
};
// From counts [0, m], summed: keeps what at least a tokens of the window use, at the best a. None
// where nothing was used.
std::optional<SegmentRouting> BestSegmentRouting(std::span<const double> windows);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LOCAL_CONSISTENCY_H_
