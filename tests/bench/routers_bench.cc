// Routers alone, forward and backward with all their losses. Every round measures what the floors
// are made of (router_work.h) and then runs each router once, in turn, on the same tokens.
//
//   routers_bench --rounds=15

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/flags/declare.h"
#include "absl/flags/flag.h"
#include "core/base/status_macros.h"
#include "tests/bench/report.h"
#include "tests/bench/router_rivals.h"
#include "tests/bench/router_work.h"
#include "tests/bench/world.h"

ABSL_FLAG(bool, tiny, false, "a shape that takes milliseconds");
ABSL_FLAG(int, tokens, 8192, "T");
ABSL_FLAG(int, rounds, 15, "timed rounds");
ABSL_FLAG(int, warm_ups, 2, "rounds before them");
ABSL_FLAG(bool, oracles, false, "run the oracles of the tests too, which takes seconds a round");
ABSL_FLAG(std::string, only, "", "the routers whose names contain this; all, if empty");
ABSL_DECLARE_FLAG(int, ranks);

namespace equipoise::bench {
namespace {

// What the rounds gave for one router.
struct Times {
  std::vector<double> seconds;
  std::vector<double> shares;  // of the round's floor of products and memory

  double best() const { return *std::min_element(seconds.begin(), seconds.end()); }
};

void PrintRates(const FloorRates& rates) {
  std::printf("ceilings, best of all rounds:\n");
  for (const auto& [name, rate] : rates.products) {
    std::printf("  %-28s %7.1f GFLOP/s\n", name.c_str(), rate / 1e9);
  }
  std::printf("  %-28s %7.1f GB/s\n", "read", rates.read / 1e9);
  std::printf("  %-28s %7.1f GB/s read and written\n", "update", rates.update / 1e9);
  std::printf("  %-28s %7.2f G elements/s\n", "SiLU forward and backward", rates.activations / 1e9);
}

void PrintRouter(const RouterRival& rival, const Times& times, const FloorRates& rates) {
  const RouterFloor floor = FloorOf(rival.work(), rates);
  const double explained = floor.products + floor.memory;
  std::printf("%-30s %8.2f %8.2f   %6.2f + %5.2f  %5.1f %% (%5.1f %%)   + %5.2f  %5.1f %%\n",
              rival.name().c_str(), times.best() * 1e3, Median(times.seconds) * 1e3,
              floor.products * 1e3, floor.memory * 1e3, 100.0 * explained / times.best(),
              100.0 * Median(times.shares), floor.activations * 1e3,
              100.0 * (explained + floor.activations) / times.best());
}

// Each router's time over that of `base`, whose time is 1: of the fastest, and the median of the
// rounds.
void PrintRatios(const std::vector<std::unique_ptr<RouterRival>>& rivals,
                 const std::vector<Times>& times, size_t base) {
  std::printf("time over that of %s, best (median of rounds):\n", rivals[base]->name().c_str());
  for (size_t i = 0; i < rivals.size(); ++i) {
    std::vector<double> ratios;
    for (size_t round = 0; round < times[i].seconds.size(); ++round) {
      ratios.push_back(times[i].seconds[round] / times[base].seconds[round]);
    }
    std::printf("  %-30s %7.2f (%6.2f)\n", rivals[i]->name().c_str(),
                times[i].best() / times[base].best(), Median(ratios));
  }
}

absl::StatusOr<std::vector<std::unique_ptr<RouterRival>>> Rivals(RankMemory& memory,
                                                                 const RouterShape& shape,
                                                                 RouterTensors& tensors) {
  EQ_ASSIGN_OR_RETURN(auto rivals, MakeFusedRouters(memory, shape, tensors));
  EQ_ASSIGN_OR_RETURN(auto unfused, MakeUnfusedRouters(memory, shape, tensors));
  std::move(unfused.begin(), unfused.end(), std::back_inserter(rivals));
  if (absl::GetFlag(FLAGS_oracles)) {
    auto oracles = MakeOracles(memory, shape, tensors);
    std::move(oracles.begin(), oracles.end(), std::back_inserter(rivals));
  }
  const std::string only = absl::GetFlag(FLAGS_only);
  rivals.erase(std::remove_if(rivals.begin(), rivals.end(),
                              [&](const auto& rival) {
                                return rival->name().find(only) == std::string::npos;
                              }),
               rivals.end());
  if (rivals.empty()) return absl::InvalidArgumentError("--only: no such router");
  return rivals;
}

absl::Status RunRank(comm::Communicator& world) {
  RouterShape shape;
  shape.tokens = absl::GetFlag(FLAGS_tokens);
  if (absl::GetFlag(FLAGS_tiny)) shape = {200, 48, 12, 3, 5};
  EQ_ASSIGN_OR_RETURN(const auto memory, RankMemory::Create());
  EQ_ASSIGN_OR_RETURN(Stopwatch stopwatch, Stopwatch::Create(world, *memory));
  EQ_ASSIGN_OR_RETURN(RouterTensors tensors, MakeRouterTensors(*memory, shape));
  EQ_ASSIGN_OR_RETURN(const auto rivals, Rivals(*memory, shape, tensors));
  EQ_ASSIGN_OR_RETURN(FloorTimer floors, FloorTimer::Create(*memory, stopwatch, shape));
  std::vector<RouterWork> works;
  for (const auto& rival : rivals) works.push_back(rival->work());
  std::vector<Times> times(rivals.size());
  for (int round = -absl::GetFlag(FLAGS_warm_ups); round < absl::GetFlag(FLAGS_rounds); ++round) {
    if (round >= 0) EQ_RETURN_IF_ERROR(floors.MeasureRound(works));
    for (size_t i = 0; i < rivals.size(); ++i) {
      EQ_ASSIGN_OR_RETURN(const double seconds, stopwatch.Time([&] { return rivals[i]->Run(); }));
      if (round < 0) continue;
      const RouterFloor floor = FloorOf(rivals[i]->work(), floors.last());
      times[i].seconds.push_back(seconds);
      times[i].shares.push_back((floor.products + floor.memory) / seconds);
    }
  }
  if (world.rank() > 0) return absl::OkStatus();
  std::printf("routers, forward and backward: T %ld, H %ld, E %ld, K %ld, D %ld, %d rounds\n",
              static_cast<long>(shape.tokens), static_cast<long>(shape.hidden),
              static_cast<long>(shape.experts), static_cast<long>(shape.top_k),
              static_cast<long>(shape.dimensions), absl::GetFlag(FLAGS_rounds));
  std::printf("%-30s %8s %8s   products + memory floor, share of best (median)   + SiLU\n", "",
              "best ms", "median");
  for (size_t i = 0; i < rivals.size(); ++i) PrintRouter(*rivals[i], times[i], floors.best());
  PrintRatios(rivals, times, 0);
  PrintRates(floors.best());
  return absl::OkStatus();
}

}  // namespace
}  // namespace equipoise::bench

int main(int argc, char** argv) {
  absl::SetFlag(&FLAGS_ranks, 1);
  return equipoise::bench::RunOnWorld(argc, argv, equipoise::bench::RunRank);
}
