#ifndef EQUIPOISE_TESTS_PARALLEL_ROUTING_SCENARIO_H_
#define EQUIPOISE_TESTS_PARALLEL_ROUTING_SCENARIO_H_

#include <cstdint>
#include <string>
#include <vector>

#include "routing/placement.h"

namespace equipoise::testing_support {

// A routing of every rank's tokens, drawn from a seed, the same on whoever draws it: so each rank
// knows what the others send.
struct RoutingScenario {
  std::string name;
  int num_experts = 1;  // E
  int top_k = 1;        // K
  routing::ExpertPlacement placement = routing::ExpertPlacement::Contiguous(1, 1);
  // [rank][t * K + k]: expert, or -1; a token's experts are different.
  std::vector<std::vector<int32_t>> ids;

  int64_t num_tokens(int rank) const {
    return static_cast<int64_t>(ids[static_cast<size_t>(rank)].size()) / top_k;
  }
  // Copies of all ranks that go to `expert`.
  int64_t Load(int expert) const;
};

// Over `ranks` ranks: random sizes with each kind of placement (even, any table, one owner for
// all), then the corners: one hot expert, an empty rank, no tokens at all, all copies dropped,
// fewer experts than ranks.
std::vector<RoutingScenario> RoutingScenarios(int ranks);

}  // namespace equipoise::testing_support

#endif  // EQUIPOISE_TESTS_PARALLEL_ROUTING_SCENARIO_H_
