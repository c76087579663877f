#include "parallel/step_report.h"

#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include "comm/link_model.h"
#include "comm/topology.h"
#include "gtest/gtest.h"
#include "routing/load_stats.h"

namespace equipoise::parallel {
namespace {

// Two MoE layers of four experts, top-2, 100 tokens.
StepResult MakeResult() {
  StepResult result;
  result.step = 7;
  result.tokens = 100;
  result.loss = 3.5;
  result.cross_entropy = 3.25;
  result.learning_rate = 1e-3;
  result.gradient_norm = 0.75;
  // Counts, dropped copies, entropy, and a loss's own sum that nobody else reads.
  result.layers.push_back(
      {1, {80, 60, 60, 0, 10, 100.0 * std::log(2.0), 123}, {{"balance", 0.125}, {"z", 0.0625}}});
  result.layers.push_back({3, {50, 50, 50, 50, 0, 0, 9}, {{"balance", 0.25}}});
  return result;
}

routing::ExpertPlacement ThreeOwners() {
  return *routing::ExpertPlacement::FromTable({2, 0, 0, 2}, 3);
}

TEST(StepReport, CopiesTheFiguresOfTheStep) {
  const StepRecord record = ReportStep(MakeResult(), 4, ThreeOwners());
  EXPECT_EQ(record.step, 7);
  EXPECT_EQ(record.loss, 3.5);
  EXPECT_EQ(record.cross_entropy, 3.25);
  EXPECT_EQ(record.learning_rate, 1e-3);
  EXPECT_EQ(record.gradient_norm, 0.75);
}

TEST(StepReport, TellsWhatLinksAreThoughtToCost) {
  StepResult result = MakeResult();
  EXPECT_TRUE(ReportStep(result, 4, ThreeOwners()).link_seconds.empty());
  result.links[comm::LinkClass::kRemote] = {0.5, 1.0};
  result.links[comm::LinkClass::kSelf] = {0.25, 2.0};
  result.exchange_factors = {{"flat", 1.25}};
  EXPECT_EQ(ReportStep(result, 4, ThreeOwners()).exchange_factors, result.exchange_factors);
  const NamedValues expected = {{"self", 0.25 + 2.0 * 524288.0}, {"remote", 0.5 + 524288.0}};
  EXPECT_EQ(ReportStep(result, 4, ThreeOwners()).link_seconds, expected);
}

TEST(StepReport, HasTheHistogramsOfTheCopies) {
  StepResult result = MakeResult();
  EXPECT_TRUE(ReportStep(result, 4, ThreeOwners()).layers[0].gate_bins.empty());
  result.layers[1].routes.gate_bins = {0, 150, 50};
  result.layers[1].routes.token_copies = {0, 0, 100};
  const LayerRecord layer = ReportStep(result, 4, ThreeOwners()).layers[1];
  EXPECT_EQ(layer.gate_bins, (std::vector<int64_t>{0, 150, 50}));
  EXPECT_EQ(layer.token_copies, (std::vector<int64_t>{0, 0, 100}));
}

TEST(StepReport, AddsAuxiliaryLossesOverLayers) {
  const StepRecord record = ReportStep(MakeResult(), 4, ThreeOwners());
  EXPECT_EQ(record.auxiliary, (NamedValues{{"balance", 0.375}, {"z", 0.0625}}));
  ASSERT_EQ(record.layers.size(), 2u);
  EXPECT_EQ(record.layers[0].auxiliary, (NamedValues{{"balance", 0.125}, {"z", 0.0625}}));
  EXPECT_EQ(record.layers[1].auxiliary, (NamedValues{{"balance", 0.25}}));
}

TEST(StepReport, TellsWhatTheExchangesMoved) {
  StepResult result = MakeResult();
  EXPECT_FALSE(ReportStep(result, 4, ThreeOwners()).layers[0].exchange.has_value());
  ExchangeSums& sums = result.layers[0].exchange;
  sums.tokens = 100;
  sums.copies = 200;
  sums.rank_copies = 50;
  sums.node_copies = 120;
  sums.token_nodes = 150;
  sums.bytes = {500, 700, 600, 200};
  sums.mean_rows = 30;
  sums.max_rows = 40;
  sums.predicted_seconds = 0.25;
  sums.measured_seconds = 0.5;
  sums.exposed_seconds = 0.125;
  sums.hidden_seconds = 0.0625;
  sums.algorithm = "two_level";
  result.num_nodes = 2;
  result.node_bytes = {1, 2, 3, 4};
  const StepRecord record = ReportStep(result, 4, ThreeOwners());
  EXPECT_EQ(record.node_bytes, (std::vector<std::vector<int64_t>>{{1, 2}, {3, 4}}));
  ASSERT_TRUE(record.layers[0].exchange.has_value());
  const ExchangeRecord& exchange = *record.layers[0].exchange;
  EXPECT_EQ(exchange.algorithm, "two_level");
  EXPECT_EQ(exchange.rank_share, 0.25);
  EXPECT_EQ(exchange.node_share, 0.6);
  EXPECT_EQ(exchange.copies_per_token, 2.0);
  EXPECT_EQ(exchange.nodes_per_token, 1.5);
  EXPECT_EQ(exchange.self_bytes, 500);
  EXPECT_EQ(exchange.node_bytes, 700);
  EXPECT_EQ(exchange.remote_bytes, 800);  // the far ones included
  EXPECT_EQ(exchange.far_bytes, 200);
  EXPECT_EQ(exchange.predicted_seconds, 0.25);
  EXPECT_EQ(exchange.measured_seconds, 0.5);
  EXPECT_EQ(exchange.exposed_seconds, 0.125);
  EXPECT_EQ(exchange.hidden_seconds, 0.0625);
  EXPECT_EQ(exchange.balance_efficiency, 0.75);
}

TEST(StepReport, TellsTheLoadOfExpertsAndOwners) {
  const StepRecord record = ReportStep(MakeResult(), 4, ThreeOwners());
  const LayerRecord& layer = record.layers[0];
  EXPECT_EQ(layer.layer, 1);
  EXPECT_EQ(layer.counts, (std::vector<int64_t>{80, 60, 60, 0}));
  // Owner 1 has no expert; owner 2 has experts 0 and 3.
  EXPECT_EQ(layer.rank_loads, (std::vector<int64_t>{120, 0, 80}));
  StepResult sent = MakeResult();
  sent.layers[0].exchange.rank_loads = {110, 0, 70};
  EXPECT_EQ(ReportStep(sent, 4, ThreeOwners()).layers[0].rank_loads,
            (std::vector<int64_t>{110, 0, 70}));
  EXPECT_EQ(layer.dead, 1);
  EXPECT_EQ(layer.min_max, 0.0);
  EXPECT_DOUBLE_EQ(layer.max_over_mean, 1.6);
  EXPECT_DOUBLE_EQ(layer.dropped_share, 0.05);
  ASSERT_TRUE(layer.router_entropy.has_value());
  EXPECT_DOUBLE_EQ(*layer.router_entropy, 0.5);

  const LayerRecord& even = record.layers[1];
  EXPECT_EQ(even.gini, 0.0);
  EXPECT_EQ(even.cv, 0.0);
  EXPECT_EQ(even.entropy, 1.0);
  EXPECT_FALSE(even.router_entropy.has_value()) << "a router without scores";
}

TEST(StepReport, PutsTheSamplingFloorBeside) {
  const StepRecord record = ReportStep(MakeResult(), 4, ThreeOwners());
  const routing::LoadStats floor = routing::SamplingFloor(100, 4, 2);
  for (const LayerRecord& layer : record.layers) {
    EXPECT_EQ(layer.floor_gini, floor.gini);
    EXPECT_EQ(layer.floor_cv, floor.cv);
    EXPECT_EQ(layer.floor_max_over_mean, floor.max_over_mean);
    EXPECT_EQ(layer.floor_entropy, floor.entropy);
    EXPECT_EQ(layer.floor_dead, floor.dead);
    EXPECT_GT(layer.floor_gini, 0.0);
  }
}

// Of the copies that there are: fewer than K a token where tokens choose how many, and on held-out
// text after capacity.
TEST(StepReport, TakesTheFloorOfTheCopiesThatThereAre) {
  StepResult result = MakeResult();
  result.layers[0].sums = {60, 40, 20, 30, 0, 0, 0};
  const StepRecord record = ReportStep(result, 4, ThreeOwners());
  EXPECT_EQ(record.layers[0].floor_gini, routing::SamplingFloor(100, 4, 1.5).gini);
  EXPECT_EQ(record.layers[0].floor_cv, routing::SamplingFloor(100, 4, 1.5).cv);
  EvaluationResult held_out;
  held_out.domain_cross_entropy = {1.0};
  held_out.domain_tokens = {64};
  held_out.layers.push_back({1, {{10, 6, 0, 0}}});
  EXPECT_EQ(ReportValidation(held_out, {"prose"}, 0.0).layers[0].floor_cv,
            routing::SamplingFloor(64, 4, 0.25).cv);
}

TEST(StepReport, TakesALayerWithoutCopies) {
  StepResult result = MakeResult();
  result.layers[0].sums = {0, 0, 0, 0, 0, 0};
  const StepRecord record = ReportStep(result, 4, ThreeOwners());
  EXPECT_EQ(record.layers[0].dropped_share, 0.0);
  EXPECT_EQ(record.layers[0].dead, 4);
}

TEST(ValidationReport, GivesNatsAndBitsByDomain) {
  EvaluationResult result;
  result.cross_entropy = 2.0 * std::numbers::ln2;
  result.domain_cross_entropy = {30.0 * std::numbers::ln2, 0.0, 10.0 * std::numbers::ln2};
  result.domain_tokens = {10, 0, 10};
  const ValidationRecord record = ReportValidation(result, {"prose", "empty", "code"}, 2.0);
  EXPECT_DOUBLE_EQ(record.bits_per_byte.value(), 1.0);
  ASSERT_EQ(record.domains.size(), 2u) << "a domain without tokens has no loss";
  EXPECT_EQ(record.domains[0].domain, "prose");
  EXPECT_DOUBLE_EQ(record.domains[0].loss, 3.0 * std::numbers::ln2);
  EXPECT_DOUBLE_EQ(record.domains[0].bits_per_byte.value(), 1.5);
  EXPECT_EQ(record.domains[1].domain, "code");
  EXPECT_DOUBLE_EQ(record.domains[1].bits_per_byte.value(), 0.5);
}

TEST(ValidationReport, TellsTheLoadOfEachDomainAndOfAll) {
  EvaluationResult result;
  result.domain_cross_entropy = {30.0, 0.0, 10.0};
  result.domain_tokens = {10, 0, 5};
  result.layers.push_back({3, {{10, 6, 4, 0}, {0, 0, 0, 0}, {0, 0, 0, 10}}});
  const ValidationRecord record = ReportValidation(result, {"prose", "empty", "code"}, 0.0);
  ASSERT_EQ(record.layers.size(), 1u);
  const ValidationLayerRecord& layer = record.layers[0];
  EXPECT_EQ(layer.layer, 3);
  EXPECT_EQ(layer.counts, (std::vector<int64_t>{10, 6, 4, 10}));
  EXPECT_DOUBLE_EQ(layer.max_over_mean, 10.0 / 7.5);
  EXPECT_EQ(layer.floor_gini, routing::SamplingFloor(15, 4, 2.0).gini);
  ASSERT_EQ(layer.domain_counts.size(), record.domains.size());
  EXPECT_EQ(layer.domain_counts[0], (std::vector<int64_t>{10, 6, 4, 0}));
  EXPECT_EQ(layer.domain_counts[1], (std::vector<int64_t>{0, 0, 0, 10}));
}

TEST(ValidationReport, SaysSoWhenBytesAreNotKnown) {
  EvaluationResult result;
  result.cross_entropy = 1.0;
  EXPECT_FALSE(ReportValidation(result, {}, 0.0).bits_per_byte.has_value());
}

}  // namespace
}  // namespace equipoise::parallel
