#include "core/data/mixture.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <vector>

#include "tests/core/data/test_files.h"

namespace equipoise {
namespace {

using testing::ExpectError;

Mixture Make(const std::vector<double>& weights, uint64_t seed = 1) {
  auto mixture = Mixture::Create(weights, seed);
  EXPECT_TRUE(mixture.ok()) << mixture.status();
  return *std::move(mixture);
}

const std::vector<std::vector<double>>& WeightTables() {
  static const auto& tables = *new std::vector<std::vector<double>>{{1},
                                                                    {1, 1},
                                                                    {1, 1, 1},
                                                                    {0.7, 0.2, 0.1},
                                                                    {5, 1e-9, 3},
                                                                    {1e300, 1e300, 1e-300},
                                                                    {1, 2, 3, 4, 5, 6, 7}};
  return tables;
}

TEST(MixtureTest, SharesAreExactInEveryBlock) {
  for (const auto& weights : WeightTables()) {
    const Mixture mixture = Make(weights);
    int64_t sum = 0;
    const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (int d = 0; d < mixture.num_domains(); ++d) {
      sum += mixture.quota(d);
      EXPECT_GE(mixture.quota(d), 1);
      // Largest remainder; domains below one sample a block may take one each from the others.
      if (std::isfinite(total)) {
        EXPECT_NEAR(static_cast<double>(mixture.quota(d)), Mixture::kBlock * weights[d] / total,
                    static_cast<double>(weights.size()));
      }
    }
    EXPECT_EQ(sum, Mixture::kBlock);
    for (const uint64_t block : {0, 1, 1000003}) {
      std::vector<int64_t> counts(weights.size());
      for (int64_t i = 0; i < Mixture::kBlock; ++i) {
        ++counts[mixture.At(block * Mixture::kBlock + i).domain];
      }
      for (int d = 0; d < mixture.num_domains(); ++d) EXPECT_EQ(counts[d], mixture.quota(d));
    }
  }
}

TEST(MixtureTest, LargestRemainderIsExact) {
  const Mixture thirds = Make({1, 1, 1});
  EXPECT_EQ(thirds.quota(0), 21846);  // 65536 = 3 * 21845 + 1
  EXPECT_EQ(thirds.quota(1), 21845);
  EXPECT_EQ(thirds.quota(2), 21845);
  const Mixture tenths = Make({0.7, 0.2, 0.1});
  EXPECT_EQ(tenths.quota(0), 45875);  // 45875.2, 13107.2, 6553.6
  EXPECT_EQ(tenths.quota(1), 13107);
  EXPECT_EQ(tenths.quota(2), 6554);
}

TEST(MixtureTest, EveryPrefixIsCloseToTheShares) {
  for (const auto& weights : WeightTables()) {
    const Mixture mixture = Make(weights, 42);
    const int num_domains = mixture.num_domains();
    std::vector<int64_t> counts(num_domains);
    for (int64_t n = 1; n <= Mixture::kBlock + 5000; ++n) {
      ++counts[mixture.At(n - 1).domain];
      for (int d = 0; d < num_domains; ++d) {
        const double expected = static_cast<double>(n) * mixture.share(d);
        ASSERT_LE(std::abs(static_cast<double>(counts[d]) - expected),
                  1 + num_domains * mixture.share(d) + 1e-9)
            << "domain " << d << " after " << n << " samples";
      }
    }
  }
}

TEST(MixtureTest, OrdinalsCountTheSamplesBefore) {
  const Mixture mixture = Make({0.6, 0.3, 0.1}, 9);
  std::vector<std::set<uint64_t>> seen(3);
  for (int64_t i = 0; i < 2 * Mixture::kBlock; ++i) {
    const Mixture::Draw draw = mixture.At(i);
    EXPECT_EQ(draw.ordinal, seen[draw.domain].size()) << "sample " << i;
    seen[draw.domain].insert(draw.ordinal);
  }
}

TEST(MixtureTest, NoFixedPatternAcrossRanks) {
  // With equal weights a periodic order would hand each of four ranks one domain only.
  const Mixture mixture = Make({1, 1, 1, 1}, 3);
  for (int rank = 0; rank < 4; ++rank) {
    std::vector<int> counts(4);
    for (int i = rank; i < 4000; i += 4) ++counts[mixture.At(i).domain];
    for (const int count : counts) EXPECT_GT(count, 150) << "rank " << rank;
  }
}

TEST(MixtureTest, SeedChangesTheOrderOnly) {
  const Mixture a = Make({1, 2}, 1);
  const Mixture b = Make({1, 2}, 2);
  const Mixture again = Make({10, 20}, 1);
  int different = 0;
  for (int i = 0; i < 1000; ++i) {
    different += a.At(i).domain != b.At(i).domain;
    EXPECT_EQ(a.At(i).domain, again.At(i).domain);
  }
  EXPECT_GT(different, 100);
  EXPECT_EQ(a.quota(0), b.quota(0));
}

TEST(MixtureTest, RefusesBadWeights) {
  const auto invalid = absl::StatusCode::kInvalidArgument;
  ExpectError(Mixture::Create({}, 1).status(), invalid, {"found 0"});
  const double inf = std::numeric_limits<double>::infinity();
  for (const double bad : {0.0, -1.0, inf, -inf, std::nan("")}) {
    ExpectError(Mixture::Create(std::vector<double>{1.0, bad}, 1).status(), invalid,
                {"domain 1", "positive finite weight"});
  }
  EXPECT_TRUE(Mixture::Create(std::vector<double>(1024, 1.0), 1).ok());
  EXPECT_FALSE(Mixture::Create(std::vector<double>(1025, 1.0), 1).ok());
}

}  // namespace
}  // namespace equipoise
