// Properties of the exchange for any routing, with real rows moving between threads; under mpirun
// the same bodies run in mpi_test.cc.

#include "parallel/expert_exchange.h"

#include <tuple>

#include "absl/strings/str_cat.h"
#include "comm/backends/thread/run_ranks.h"
#include "gtest/gtest.h"
#include "tests/parallel/exchange_cases.h"
#include "tests/parallel/routing_scenario.h"

namespace equipoise::parallel {
namespace {

using testing_support::ExchangeCase;
using testing_support::RoutingScenario;

class ExpertExchangeTest : public ::testing::TestWithParam<std::tuple<int, ExchangeCase>> {};

TEST_P(ExpertExchangeTest, Holds) {
  const auto& [ranks, property] = GetParam();
  const absl::Status status = comm::RunRanks(ranks, property.body);
  EXPECT_TRUE(status.ok()) << status;
}

INSTANTIATE_TEST_SUITE_P(AnyRouting, ExpertExchangeTest,
                         ::testing::Combine(::testing::Values(1, 2, 3, 4, 7),
                                            ::testing::ValuesIn(testing_support::ExchangeCases())),
                         [](const auto& info) {
                           return absl::StrCat(std::get<1>(info.param).name, "_",
                                               std::get<0>(info.param));
                         });

// The properties above prove nothing about a corner that no scenario reaches.
TEST(RoutingScenarios, ReachTheCorners) {
  int without_experts = 0, without_tokens = 0, cold = 0, uneven = 0, dropped = 0, unsorted = 0;
  for (const int ranks : {2, 3, 4, 7}) {
    for (const RoutingScenario& scenario : testing_support::RoutingScenarios(ranks)) {
      uneven += scenario.num_experts % ranks != 0 ? 1 : 0;
      for (int rank = 0; rank < ranks; ++rank) {
        without_experts += scenario.placement.num_experts_of(rank) == 0 ? 1 : 0;
        without_tokens += scenario.num_tokens(rank) == 0 ? 1 : 0;
        for (const int32_t id : scenario.ids[static_cast<size_t>(rank)]) dropped += id < 0 ? 1 : 0;
      }
      for (int e = 0; e < scenario.num_experts; ++e) {
        cold += scenario.Load(e) == 0 ? 1 : 0;
        unsorted += scenario.placement.slot_of(e) != e ? 1 : 0;
      }
    }
  }
  for (const int count : {without_experts, without_tokens, cold, uneven, dropped, unsorted}) {
    EXPECT_GE(count, 10);
  }
}

}  // namespace
}  // namespace equipoise::parallel
