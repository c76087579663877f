#include "routing/locality.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace equipoise::routing {
namespace {

TEST(LocalityTest, ExpertsOfNodesAreEvenRuns) {
  EXPECT_EQ(NodesOfExperts(7, 3), (std::vector<int32_t>{0, 0, 0, 1, 1, 2, 2}));
  EXPECT_EQ(NodesOfExperts(2, 3), (std::vector<int32_t>{0, 1}));
  EXPECT_EQ(NodesOfExperts(3, 1), (std::vector<int32_t>{0, 0, 0}));
  EXPECT_EQ(FirstExperts(7, 3), (std::vector<int32_t>{0, 3, 5, 7}));
  EXPECT_EQ(FirstExperts(2, 4), (std::vector<int32_t>{0, 1, 2, 2, 2}));
}

// Node n has the sequences from B n / N to B (n + 1) / N, rounded down.
TEST(LocalityTest, SequencesOfNodesAreRuns) {
  for (const int64_t count : {1, 2, 5, 12, 31}) {
    for (const int nodes : {1, 2, 3, 5}) {
      for (int64_t i = 0; i < count; ++i) {
        const int64_t node = NodeOfSequence(i, count, nodes);
        EXPECT_LE(count * node / nodes, i) << count << " on " << nodes;
        EXPECT_GT(count * (node + 1) / nodes, i) << count << " on " << nodes;
      }
    }
  }
}

TEST(LocalityTest, TargetsKeepOneLessSmoothingAtHome) {
  LocalityOptions options;
  options.num_nodes = 2;
  options.loss.smoothing = 0.1;
  const std::vector<double> targets = LocalisedTargets(options, 5);
  const std::vector<double> expected = {0.3,     0.3,     0.3,     0.05, 0.05,   // node 0: 0, 1, 2
                                        0.1 / 3, 0.1 / 3, 0.1 / 3, 0.45, 0.45};  // node 1: 3, 4
  ASSERT_EQ(targets.size(), expected.size());
  for (size_t i = 0; i < targets.size(); ++i) EXPECT_NEAR(targets[i], expected[i], 1e-15) << i;
}

TEST(LocalityTest, TargetsFollowTheClassesOfLinks) {
  LocalityOptions options;
  options.num_nodes = 4;
  options.nodes_per_group = 2;
  options.loss = {1.0, 8.0, 3.0, 1.0, 1e-9};
  const std::vector<double> targets = LocalisedTargets(options, 8);
  for (int node = 0; node < 4; ++node) {
    for (int e = 0; e < 8; ++e) {
      const int owner = e / 2;
      const double weight = owner == node ? 8.0 : owner / 2 == node / 2 ? 3.0 : 1.0;
      EXPECT_NEAR(targets[static_cast<size_t>(node * 8 + e)], weight / 26.0, 1e-9);
    }
  }
}

TEST(LocalityTest, TargetsAreDistributionsEvenWithoutExperts) {
  for (const int nodes : {1, 2, 3, 7}) {
    LocalityOptions options;
    options.num_nodes = nodes;
    const std::vector<double> targets = LocalisedTargets(options, 3);
    for (size_t begin = 0; begin < targets.size(); begin += 3) {
      EXPECT_NEAR(targets[begin] + targets[begin + 1] + targets[begin + 2], 1.0, 1e-15);
      EXPECT_GT(*std::min_element(targets.begin() + static_cast<int64_t>(begin),
                                  targets.begin() + static_cast<int64_t>(begin) + 3),
                0.0);
    }
  }
}

TEST(LocalityTest, RefusesWhatCannotBe) {
  const auto message = [](auto change, int top_k = 2) {
    LocalityOptions options;
    options.num_nodes = 3;
    change(options);
    return std::string(CheckLocality(options, 7, top_k).message());
  };
  EXPECT_EQ(message([](LocalityOptions&) {}), "");
  EXPECT_NE(message([](LocalityOptions& o) { o.num_nodes = 0; }), "");
  EXPECT_NE(message([](LocalityOptions& o) { o.loss.coefficient = -1.0; }), "");
  EXPECT_NE(message([](LocalityOptions& o) { o.loss.near = 2.0; }), "");
  EXPECT_NE(message([](LocalityOptions& o) { o.loss.smoothing = 0.0; }), "");
  const auto control = [](LocalityOptions& o) { o.bias.mode = LocalityBiasMode::kController; };
  EXPECT_EQ(message(control), "");
  EXPECT_NE(message([&](LocalityOptions& o) { control(o), o.bias.target = 1.5; }), "");
  EXPECT_NE(message([&](LocalityOptions& o) { control(o), o.bias.rate = 0.0; }), "");
  EXPECT_NE(message([&](LocalityOptions& o) { control(o), o.bias.strength = 3.0; }), "");
  const auto learn = [](LocalityOptions& o) { o.bias.mode = LocalityBiasMode::kLearned; };
  EXPECT_EQ(message(learn), "");
  EXPECT_NE(message([&](LocalityOptions& o) { learn(o), o.bias.target = -0.5; }), "");
  EXPECT_NE(message([&](LocalityOptions& o) { learn(o), o.bias.decay = 1.5; }), "");
  EXPECT_NE(message([](LocalityOptions& o) { o.quota.outgoing_share = 1.1; }), "");
  const auto quota = [](LocalityOptions& o) { o.quota.outgoing_share = 0.1; };
  EXPECT_EQ(message(quota), "");
  // Two nodes have two experts each.
  EXPECT_NE(message(quota, 3).find("every token takes 3"), std::string::npos);
}

}  // namespace
}  // namespace equipoise::routing
