#include "tests/parallel/routing_scenario.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/rng.h"

namespace equipoise::testing_support {
namespace {

using routing::ExpertPlacement;

// Draws one after the other: a scenario is a function of its seed alone.
class Draws {
 public:
  explicit Draws(uint64_t seed) : random_(StreamKey(seed, "routing scenario")) {}
  int Below(int bound) {
    return static_cast<int>(random_.Below(static_cast<uint64_t>(bound), next_++));
  }
  bool Chance(double probability) { return random_.Uniform(next_++) < probability; }

 private:
  Philox random_;
  uint64_t next_ = 0;
};

enum class Owners { kEven, kTable, kOne };

ExpertPlacement PlacementOf(Owners owners, int num_experts, int ranks, Draws& draws) {
  if (owners == Owners::kEven) return ExpertPlacement::Contiguous(num_experts, ranks);
  const int only = draws.Below(ranks);
  std::vector<int> table;
  for (int e = 0; e < num_experts; ++e) {
    table.push_back(owners == Owners::kOne ? only : draws.Below(ranks));
  }
  auto placement = ExpertPlacement::FromTable(std::move(table), ranks);
  EQ_CHECK(placement.ok()) << placement.status().ToString();
  return *std::move(placement);
}

struct Shape {
  int num_experts = 1;
  int top_k = 1;
  int max_tokens = 17;  // of a rank
  double dropped = 0.0;
  int hot = -1;    // every token's first choice
  int empty = -1;  // a rank without tokens
};

std::vector<int32_t> IdsOf(const Shape& shape, int rank, Draws& draws) {
  const int tokens = rank == shape.empty ? 0 : draws.Below(shape.max_tokens + 1);
  std::vector<int32_t> ids;
  for (int t = 0; t < tokens; ++t) {
    std::vector<int32_t> chosen;
    if (shape.hot >= 0) chosen.push_back(shape.hot);
    while (static_cast<int>(chosen.size()) < shape.top_k) {
      const int expert = draws.Below(shape.num_experts);
      if (std::find(chosen.begin(), chosen.end(), expert) == chosen.end()) chosen.push_back(expert);
    }
    for (const int32_t expert : chosen) ids.push_back(draws.Chance(shape.dropped) ? -1 : expert);
  }
  return ids;
}

RoutingScenario Make(std::string name, const Shape& shape, Owners owners, int ranks,
                     uint64_t seed) {
  Draws draws(seed);
  RoutingScenario scenario;
  scenario.name = absl::StrCat(name, ", ", shape.num_experts, " experts, top ", shape.top_k);
  scenario.num_experts = shape.num_experts;
  scenario.top_k = shape.top_k;
  scenario.placement = PlacementOf(owners, shape.num_experts, ranks, draws);
  for (int rank = 0; rank < ranks; ++rank) scenario.ids.push_back(IdsOf(shape, rank, draws));
  return scenario;
}

}  // namespace

int64_t RoutingScenario::Load(int expert) const {
  int64_t copies = 0;
  for (const auto& of_rank : ids) copies += std::count(of_rank.begin(), of_rank.end(), expert);
  return copies;
}

std::vector<RoutingScenario> RoutingScenarios(int ranks) {
  std::vector<RoutingScenario> all;
  for (uint64_t seed = 0; seed < 12; ++seed) {
    Draws draws(100 + seed);
    Shape shape;
    shape.num_experts = 1 + draws.Below(13);
    shape.top_k = 1 + draws.Below(std::min(shape.num_experts, 4));
    shape.dropped = seed % 2 == 0 ? 0.0 : 0.3;
    const auto owners = static_cast<Owners>(seed % 3);
    all.push_back(Make(absl::StrCat("random ", seed), shape, owners, ranks, seed));
  }
  all.push_back(Make("one hot expert", {9, 1, 17, 0.0, 5, -1}, Owners::kEven, ranks, 21));
  all.push_back(
      Make("one expert in every token", {9, 3, 17, 0.0, 2, -1}, Owners::kTable, ranks, 22));
  all.push_back(Make("an empty rank", {5, 2, 17, 0.1, -1, ranks - 1}, Owners::kEven, ranks, 23));
  all.push_back(Make("no tokens", {5, 2, 0, 0.0, -1, -1}, Owners::kEven, ranks, 24));
  all.push_back(Make("all copies dropped", {5, 2, 9, 1.0, -1, -1}, Owners::kEven, ranks, 25));
  all.push_back(
      Make("fewer experts than ranks", {2, 1, 11, 0.0, -1, -1}, Owners::kEven, ranks, 26));
  return all;
}

}  // namespace equipoise::testing_support
