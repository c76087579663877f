// Properties of the exchange for any routing, with real rows moving between threads; under mpirun
// the same bodies run in mpi_test.cc.

#include "parallel/expert_exchange.h"

#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "comm/backends/thread/run_ranks.h"
#include "comm/exchange/node_transport.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/parallel/exchange_cases.h"
#include "tests/parallel/routing_scenario.h"
#include "tests/support/test_context.h"

namespace equipoise::parallel {
namespace {

using testing_support::ExchangeCase;
using testing_support::RoutingScenario;

// Ranks by node, for every rank: even and uneven nodes, ranks of a node not side by side.
struct World {
  std::string name;
  std::vector<int> node_of_rank;
};

std::vector<World> Worlds() {
  return {{"1x1", {0}},
          {"1x2", {0, 0}},
          {"2x1", {0, 1}},
          {"1x3", {0, 0, 0}},
          {"4x1", {0, 1, 2, 3}},
          {"2x2", {0, 0, 1, 1}},
          {"2x2_interleaved", {0, 1, 0, 1}},
          {"3_and_1", {0, 0, 0, 1}},
          {"2x3", {0, 0, 0, 1, 1, 1}},
          {"3x2", {0, 0, 1, 1, 2, 2}},
          {"1_and_4_and_2_shuffled", {1, 0, 2, 1, 1, 2, 1}}};
}

class ExpertExchangeTest
    : public ::testing::TestWithParam<
          std::tuple<std::string, int, comm::NodeTransport, World, ExchangeCase>> {};

std::string NameOf(comm::NodeTransport transport) {
  return transport == comm::NodeTransport::kMessages ? "messages" : "shared";
}

TEST_P(ExpertExchangeTest, Holds) {
  const testing_support::ExchangeKind exchange = {std::get<0>(GetParam()), std::get<1>(GetParam()),
                                                  std::get<2>(GetParam())};
  const World& world = std::get<3>(GetParam());
  const ExchangeCase& property = std::get<4>(GetParam());
  comm::ThreadWorld::Options options;
  options.num_ranks = static_cast<int>(world.node_of_rank.size());
  options.node_of_rank = world.node_of_rank;
  const absl::Status status = comm::RunRanks(
      options, [&](comm::Communicator& ranks) { return property.body(ranks, exchange); });
  EXPECT_TRUE(status.ok()) << status;
}

INSTANTIATE_TEST_SUITE_P(AnyRouting, ExpertExchangeTest,
                         ::testing::Combine(::testing::ValuesIn(ExpertExchangeNames()),
                                            ::testing::Values(1, 2, 3),
                                            ::testing::Values(comm::NodeTransport::kMessages,
                                                              comm::NodeTransport::kSharedMemory),
                                            ::testing::ValuesIn(Worlds()),
                                            ::testing::ValuesIn(testing_support::ExchangeCases())),
                         [](const auto& info) {
                           return absl::StrCat(
                               std::get<0>(info.param), "_", std::get<1>(info.param), "_chunks_",
                               NameOf(std::get<2>(info.param)), "_", std::get<3>(info.param).name,
                               "_", std::get<4>(info.param).name);
                         });

TEST(ExpertExchange, AnUnknownNameIsRefusedWithTheKnownOnes) {
  const absl::Status status = comm::RunRanks(2, [](comm::Communicator& world) -> absl::Status {
    testing_support::TestContext memory(size_t{1} << 20);
    return MakeExpertExchange("pigeon", world, memory.context(),
                              routing::ExpertPlacement::Contiguous(2, 2))
        .status();
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("pigeon"));
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("two_level_dedup"));
}

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
