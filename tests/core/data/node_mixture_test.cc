#include "core/data/node_mixture.h"

#include <map>
#include <set>
#include <vector>

#include "gtest/gtest.h"

namespace equipoise {
namespace {

NodeMixture Make(const std::vector<double>& shares, const std::vector<int64_t>& sequences) {
  auto mixture = NodeMixture::Create(shares, sequences, 7);
  EXPECT_TRUE(mixture.ok()) << mixture.status();
  return *std::move(mixture);
}

TEST(NodeMixtureTest, DomainsThatFillNodesStayTogether) {
  const NodeMixture mixture = Make({1, 1, 1, 1, 1, 1}, {8, 8});
  for (int domain = 0; domain < 6; ++domain) {
    EXPECT_EQ(mixture.NodesOf(domain), (std::vector<int>{domain / 3}));
    EXPECT_NEAR(mixture.share(domain / 3, domain), 1.0 / 3.0, 1e-4);
  }
  EXPECT_TRUE(mixture.NodesOf(6).empty());
}

// Whatever the weights and the cut of the batch, the shares of the whole batch are the mixture's.
TEST(NodeMixtureTest, TheBatchKeepsItsShares) {
  const std::vector<double> shares = {0.5, 0.05, 0.3, 0.15};
  const std::vector<std::vector<int64_t>> batches = {{16}, {8, 8}, {2, 3}, {4, 5, 4}, {1, 1, 1, 1}};
  for (const std::vector<int64_t>& sequences : batches) {
    const NodeMixture mixture = Make(shares, sequences);
    double batch = 0.0;
    for (const int64_t count : sequences) batch += static_cast<double>(count);
    size_t on_more = 0;
    for (int domain = 0; domain < 4; ++domain) {
      double share = 0.0;
      for (size_t node = 0; node < sequences.size(); ++node) {
        share += static_cast<double>(sequences[node]) / batch *
                 mixture.share(static_cast<int>(node), domain);
      }
      EXPECT_NEAR(share, shares[static_cast<size_t>(domain)], 1e-4);
      on_more += mixture.NodesOf(domain).size() - 1;
    }
    EXPECT_LE(on_more, sequences.size() - 1);
  }
}

// The draws of a step are by node as their shares, and no sample is drawn twice in a block.
TEST(NodeMixtureTest, NodesDrawByTheirSharesAndNothingTwice) {
  const std::vector<double> shares = {0.5, 0.2, 0.3};
  const std::vector<int64_t> sequences = {3, 2, 3};
  const NodeMixture mixture = Make(shares, sequences);
  std::map<int, std::set<uint64_t>> seen;
  std::map<int, double> count;
  constexpr uint64_t kSteps = 3000;
  for (int node = 0; node < 3; ++node) {
    const auto of_step = static_cast<uint64_t>(sequences[static_cast<size_t>(node)]);
    for (uint64_t i = 0; i < kSteps * of_step; ++i) {
      const Mixture::Draw draw = mixture.At(node, i);
      EXPECT_GT(mixture.share(node, draw.domain), 0.0);
      EXPECT_TRUE(seen[draw.domain].insert(draw.ordinal).second) << draw.ordinal;
      count[draw.domain] += 1.0;
    }
  }
  for (int domain = 0; domain < 3; ++domain) {
    EXPECT_NEAR(count[domain] / (kSteps * 8), shares[static_cast<size_t>(domain)], 1e-3);
  }
}

// Over whole blocks the ordinals of a domain have no gap: every window is seen before any again.
TEST(NodeMixtureTest, BlocksHaveNoGaps) {
  const NodeMixture mixture = Make({2, 1}, {1, 1});
  std::map<int, std::set<uint64_t>> seen;
  for (int node = 0; node < 2; ++node) {
    for (uint64_t i = 0; i < 2 * Mixture::kBlock; ++i) {
      const Mixture::Draw draw = mixture.At(node, i);
      seen[draw.domain].insert(draw.ordinal);
    }
  }
  for (const auto& [domain, ordinals] : seen) {
    EXPECT_EQ(*ordinals.rbegin() + 1, ordinals.size()) << "domain " << domain;
  }
}

TEST(NodeMixtureTest, HeldOutTextLivesWhereItsDomainTrains) {
  // Domain 1: two fifths of the batch, of which three quarters on node 0.
  const NodeMixture mixture = Make({0.3, 0.4, 0.3}, {3, 2});
  std::vector<int> at_home(2, 0);
  for (uint64_t i = 0; i < 400; ++i) {
    EXPECT_EQ(mixture.HomeOfHeldOut(0, i), 0);
    EXPECT_EQ(mixture.HomeOfHeldOut(2, i), 1);
    ++at_home[static_cast<size_t>(mixture.HomeOfHeldOut(1, i))];
  }
  EXPECT_NEAR(at_home[0], 300, 3);
  EXPECT_EQ(mixture.HomeOfHeldOut(3, 0), -1);
}

TEST(NodeMixtureTest, IsAFunctionOfTheSeed) {
  const NodeMixture a = Make({1, 2}, {4, 4});
  const NodeMixture b = Make({1, 2}, {4, 4});
  for (uint64_t i = 0; i < 100; ++i) {
    EXPECT_EQ(a.At(1, i).domain, b.At(1, i).domain);
    EXPECT_EQ(a.At(1, i).ordinal, b.At(1, i).ordinal);
  }
}

}  // namespace
}  // namespace equipoise
