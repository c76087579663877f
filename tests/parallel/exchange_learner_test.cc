#include "parallel/exchange_learner.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "comm/backends/thread/run_ranks.h"
#include "comm/communicator.h"
#include "comm/exchange/row_exchange.h"
#include "comm/exchange/transfer.h"
#include "comm/link_estimate.h"
#include "comm/link_model.h"
#include "comm/topology.h"
#include "core/base/status_macros.h"
#include "core/device/context.h"
#include "core/tensor/dtype.h"
#include "core/tensor/tensor_view.h"
#include "gtest/gtest.h"
#include "parallel/exchange_counts.h"
#include "parallel/exchange_forecast.h"
#include "parallel/expert_exchange.h"
#include "routing/placement.h"
#include "tests/support/test_context.h"

namespace equipoise::parallel {
namespace {

// A rank on each of two nodes.
comm::Topology TwoNodes() { return *comm::Topology::FromNodes({0, 1}); }

comm::LinkModel Links() {
  comm::LinkModel links;
  links[comm::LinkClass::kSelf] = {1e-7, 1e-10};
  links[comm::LinkClass::kRemote] = {1e-4, 1e-8};
  return links;
}

// `rows` rows of 1000 bytes each way, twice in the forward pass and twice in the backward pass.
std::vector<ExpectedTransfers> Transfers(int64_t rows) {
  ExpectedTransfers transfers;
  comm::RowMatrix matrix(2);
  matrix.set(0, 1, rows);
  matrix.set(1, 0, rows);
  transfers.traffic.phases = {matrix};
  transfers.traffic.gathered = {0, 0};
  transfers.row_bytes = 1000;
  transfers.there = 4;
  transfers.forward = 2;
  return {transfers};
}

ExchangeForecast Begin(ExchangeLearner& learner) {
  learner.BeginStep();
  ExchangeForecast forecast = learner.Forecast("flat", Transfers(100));
  learner.Begin(forecast);
  return forecast;
}

TEST(ExchangeLearner, PredictsByWhatPassesTook) {
  const auto estimate = MakeLinkEstimate(Links(), {true, true, true, true});
  ExchangeLearner learner(TwoNodes(), estimate);
  const double at_start = Begin(learner).seconds;
  EXPECT_NEAR(at_start, 4.0 * (1e-4 + 1e-8 * 1e5), 1e-12);
  // Half of these in the forward pass: a millisecond and a tenth each. Say it takes three times as
  // long, and that one rank computes for 5 ms meanwhile, the other for 1.
  const int64_t took = 6'600'000;
  for (int i = 0; i < 40; ++i) {
    Begin(learner);
    learner.Learn({{took + 5'000'000, 5'000'000}, {took + 4'800'000, 1'000'000}});
  }
  learner.BeginStep();
  EXPECT_NEAR(learner.Predict("flat", Transfers(100)), 3.0 * at_start, 0.15 * at_start);
  // Which is mostly the links' doing, so that it holds for other algorithms, too.
  EXPECT_GT(learner.Predict("two_level", Transfers(100)), 2.5 * at_start);
}

// A layer that runs again has to choose as it did before.
TEST(ExchangeLearner, ForecastsStayTheSameWithinAStep) {
  ExchangeLearner learner(TwoNodes(), MakeLinkEstimate(Links(), {true, true, true, true}));
  const double at_start = Begin(learner).seconds;
  for (int i = 0; i < 5; ++i) {
    learner.Begin(learner.Forecast("flat", Transfers(100)));
    learner.Learn({{50'000'000, 0}, {50'000'000, 0}});
    EXPECT_EQ(learner.Predict("flat", Transfers(100)), at_start);
  }
  learner.BeginStep();
  EXPECT_GT(learner.Predict("flat", Transfers(100)), 1.2 * at_start);
}

TEST(ExchangeLearner, LearnsNothingFromTheFirstPassNorUnlessEveryRankHasSeenIt) {
  const auto estimate = MakeLinkEstimate(Links(), {true, true, true, true});
  ExchangeLearner learner(TwoNodes(), estimate);
  learner.Learn({{0, 0}, {0, 0}});
  for (const int64_t of_the_second : {0, 1'000'000'000, 0}) {
    Begin(learner);
    learner.Learn({{1'000'000'000, 0}, {of_the_second, 0}});
    EXPECT_EQ(comm::LinksToText(estimate->links()), comm::LinksToText(Links()));
    EXPECT_EQ(estimate->factor(0), 1.0);
  }
  Begin(learner);
  learner.Learn({{1'000'000'000, 0}, {1'000'000'000, 0}});
  EXPECT_GT(estimate->factor(0), 1.0);
}

TEST(ExchangeLearner, ClocksAPassFromBeginToEnd) {
  ExchangeLearner learner(TwoNodes(), MakeLinkEstimate(Links(), {}));
  EXPECT_EQ(learner.last_pass().elapsed, 0);
  Begin(learner);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  comm::TransferTimes times;
  times.alone = 0.015625;  // exact
  times.hidden = 0.25;
  learner.End(times);
  EXPECT_GE(learner.last_pass().elapsed, 20'000'000);
  EXPECT_EQ(learner.last_pass().alone, 15'625'000);
  Begin(learner);
  EXPECT_EQ(learner.last_pass().elapsed, 0);
}

// One exchange of two tokens a rank, forward.
absl::Status Forward(const Context& context, ExpertExchange& exchange,
                     testing_support::TestContext& memory, ExchangeForecast* forecast) {
  exchange.BeginStep();
  const TensorView ids = memory.Make(DType::kI32, {2, 1}, std::vector<double>{0, 1});
  const TensorView gates = memory.Make(DType::kF32, {2, 1}, std::vector<double>{1, 1});
  const TensorView x = memory.Zeros(DType::kF32, {2, 4});
  EQ_ASSIGN_OR_RETURN(const ExchangeCounts counts, exchange.Count(context, ids, {}));
  EQ_ASSIGN_OR_RETURN(const auto plans,
                      exchange.Plan(context, *context.activations, counts, ids, gates, {}));
  *forecast = exchange.Forecast(counts, plans[0], ids, gates);
  exchange.BeginForward(*forecast);
  EQ_ASSIGN_OR_RETURN(PendingRows rows,
                      exchange.Dispatch(context, *context.activations, plans[0], x, nullptr));
  EQ_RETURN_IF_ERROR(rows.Wait().status());
  return exchange.EndForward().status();
}

// Ranks see different times, and never disagree about what to expect, or about what to choose.
TEST(ExchangeLearner, RanksLearnAlike) {
  constexpr size_t kRounds = 12;
  std::vector<std::vector<double>> predicted(4, std::vector<double>(kRounds));
  std::vector<std::vector<std::string>> chosen(4, std::vector<std::string>(kRounds));
  comm::ThreadWorld::Options options;
  options.num_ranks = 4;
  options.node_of_rank = {0, 0, 1, 1};
  const absl::Status status = comm::RunRanks(options, [&](comm::Communicator& world) {
    testing_support::TestContext memory(size_t{1} << 24);
    comm::LinkModel links = Links();
    links[comm::LinkClass::kNode] = {1e-5, 1e-9};
    const auto estimate = MakeLinkEstimate(links, {true, true, true, true});
    const auto run = [&]() -> absl::Status {
      EQ_ASSIGN_OR_RETURN(const auto exchange,
                          MakeExpertExchange("auto", world, memory.context(),
                                             routing::ExpertPlacement::Contiguous(4, 4),
                                             {.costs = {.links = estimate, .row_bytes = 16}}));
      const auto rank = static_cast<size_t>(world.rank());
      for (size_t round = 0; round < kRounds; ++round) {
        std::this_thread::sleep_for(std::chrono::milliseconds(4 * rank));
        ExchangeForecast forecast;
        EQ_RETURN_IF_ERROR(Forward(memory.context(), *exchange, memory, &forecast));
        predicted[rank][round] = forecast.seconds;
        chosen[rank][round] = forecast.algorithm;
      }
      return absl::OkStatus();
    };
    return run();
  });
  ASSERT_TRUE(status.ok()) << status;
  for (size_t rank = 1; rank < predicted.size(); ++rank) {
    EXPECT_EQ(predicted[rank], predicted[0]);
    EXPECT_EQ(chosen[rank], chosen[0]);
  }
  EXPECT_NE(predicted[0].front(), predicted[0].back());
}

}  // namespace
}  // namespace equipoise::parallel
