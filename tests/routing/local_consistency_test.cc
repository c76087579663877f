#include "routing/local_consistency.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "core/base/rng.h"
#include "gtest/gtest.h"

namespace equipoise::routing {
namespace {

std::vector<int32_t> RandomIds(int64_t length, int top_k, int items, uint64_t seed) {
  const Philox random(StreamKey(seed, "ids"));
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < length * top_k; ++i) {
    const auto item = static_cast<int32_t>(random.Below(static_cast<uint64_t>(items) + 1, i));
    ids.push_back(item - 1);  // some tokens have fewer items, some one twice
  }
  return ids;
}

std::vector<double> Count(const ConsistencyOptions& options, const std::vector<int32_t>& ids,
                          int top_k) {
  std::vector<double> counts(static_cast<size_t>(NumConsistencyCounts(options)), 0.0);
  CountConsistency(options, ids, top_k, counts);
  return counts;
}

bool Uses(const std::vector<int32_t>& ids, int top_k, int64_t token, int item) {
  const auto begin = ids.begin() + token * top_k;
  return std::find(begin, begin + top_k, item) != begin + top_k;
}

// F1 over all windows and items of the rule that keeps a window's item if at least `least` of its
// tokens use it, by counting true and false positives one by one.
double F1OfThreshold(const std::vector<int32_t>& ids, int top_k, int items, int segment, int least,
                     double& size) {
  const int64_t length = static_cast<int64_t>(ids.size()) / top_k;
  double both = 0.0;
  double kept = 0.0;
  double used = 0.0;
  for (int item = 0; item < items; ++item) {
    for (int64_t p = 0; p + segment <= length; ++p) {
      int uses = 0;
      for (int64_t t = p; t < p + segment; ++t) uses += Uses(ids, top_k, t, item) ? 1 : 0;
      used += uses;
      if (uses < least) continue;
      kept += segment;
      both += uses;
    }
  }
  size = kept / used;
  return 2.0 * both / (kept + used);
}

TEST(LocalConsistencyTest, BestSegmentRouterIsThatOfTheDefinition) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const int items = 1 + static_cast<int>(seed % 5);
    const int top_k = 1 + static_cast<int>(seed % 3);
    const int segment = 1 + static_cast<int>(seed % 4);
    const auto ids = RandomIds(9, top_k, items, seed);
    const auto counts = Count({items, segment, 1}, ids, top_k);
    const auto best = BestSegmentRouting(std::span(counts).first(static_cast<size_t>(segment) + 1));
    ASSERT_TRUE(best.has_value());
    double expected = 0.0;
    double expected_size = 0.0;
    for (int least = segment; least >= 1; --least) {
      double size = 0.0;
      const double f1 = F1OfThreshold(ids, top_k, items, segment, least, size);
      if (f1 > expected + 1e-12) {
        expected = f1;
        expected_size = size;
      }
    }
    EXPECT_NEAR(best->performance, expected, 1e-12) << "seed " << seed;
    EXPECT_NEAR(best->size, expected_size, 1e-12) << "seed " << seed;
    // No segment router of any kind does better (Liang et al., section 3): try every one.
    double windows = 0.0;
    for (int v = 0; v <= segment; ++v) windows += counts[static_cast<size_t>(v)];
    EXPECT_EQ(windows, items * (9 - segment + 1));
  }
}

// Every choice of windows to keep, for one item: no rule beats the threshold.
TEST(LocalConsistencyTest, NoSegmentRouterBeatsTheThreshold) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    constexpr int kSegment = 3;
    constexpr int64_t kLength = 10;
    const auto ids = RandomIds(kLength, 1, 1, seed);
    const auto counts = Count({1, kSegment, 1}, ids, 1);
    const auto best = BestSegmentRouting(std::span(counts).first(kSegment + 1));
    ASSERT_TRUE(best.has_value());
    std::vector<double> uses;
    for (int64_t p = 0; p + kSegment <= kLength; ++p) {
      uses.push_back(std::count(ids.begin() + p, ids.begin() + p + kSegment, 0));
    }
    double most = 0.0;
    for (uint32_t kept = 1; kept < (1u << uses.size()); ++kept) {
      double both = 0.0;
      double total = 0.0;
      double size = 0.0;
      for (size_t p = 0; p < uses.size(); ++p) {
        total += uses[p];
        if ((kept >> p & 1u) == 0) continue;
        both += uses[p];
        size += kSegment;
      }
      most = std::max(most, 2.0 * both / (size + total));
    }
    EXPECT_NEAR(best->performance, most, 1e-12) << "seed " << seed;
  }
}

TEST(LocalConsistencyTest, OneItemForAllIsPerfect) {
  const std::vector<int32_t> ids(40, 2);
  const auto counts = Count({5, 8, 1}, ids, 1);
  const auto best = BestSegmentRouting(std::span(counts).first(9));
  ASSERT_TRUE(best.has_value());
  EXPECT_EQ(best->performance, 1.0);
  EXPECT_EQ(best->size, 1.0);
  EXPECT_EQ(counts[9], 40.0);
  EXPECT_EQ(counts[10], 40.0);
}

TEST(LocalConsistencyTest, UseByChanceFollowsTheBinomial) {
  constexpr int64_t kLength = 200000;
  constexpr int kSegment = 4;
  constexpr double kShare = 0.3;
  const Philox random(StreamKey(5, "chance"));
  std::vector<int32_t> ids;
  for (int64_t t = 0; t < kLength; ++t) ids.push_back(random.Uniform(t) < kShare ? 0 : -1);
  const auto counts = Count({1, kSegment, 1}, ids, 1);
  double expected = 0.0;
  for (int least = 1; least <= kSegment; ++least) {
    double both = 0.0;
    double kept = 0.0;
    for (int v = least; v <= kSegment; ++v) {
      const double ways =
          std::tgamma(kSegment + 1) / std::tgamma(v + 1) / std::tgamma(kSegment - v + 1);
      const double p = ways * std::pow(kShare, v) * std::pow(1.0 - kShare, kSegment - v);
      both += v * p;
      kept += kSegment * p;
    }
    expected = std::max(expected, 2.0 * both / (kept + kSegment * kShare));
  }
  const auto best = BestSegmentRouting(std::span(counts).first(kSegment + 1));
  EXPECT_NEAR(best->performance, expected, 5e-3);
}

// The cache by its definition, on sets, recounting the future for every comparison.
double HitsByDefinition(const ConsistencyOptions& options, const std::vector<int32_t>& ids,
                        int top_k, double& needed) {
  const int64_t length = static_cast<int64_t>(ids.size()) / top_k;
  std::set<int> held;
  std::set<int> seen;
  double hits = 0.0;
  for (int64_t t = 0; t < length; ++t) {
    std::vector<int> wanted;
    for (int k = 0; k < top_k; ++k) {
      const int item = ids[static_cast<size_t>(t * top_k + k)];
      if (item >= 0 && std::find(wanted.begin(), wanted.end(), item) == wanted.end()) {
        wanted.push_back(item);
      }
    }
    for (const int item : wanted) {
      needed += 1.0;
      const bool fills = seen.insert(item).second && static_cast<int>(seen.size()) <= options.cache;
      if (held.count(item) > 0 || fills) hits += 1.0;
      held.insert(item);
    }
    while (static_cast<int>(held.size()) > options.cache) {
      const auto worth = [&](int item) {
        int64_t coming = 0;
        for (int64_t s = t + 1; s <= std::min(t + options.segment, length - 1); ++s) {
          coming += Uses(ids, top_k, s, item) ? 1 : 0;
        }
        int64_t last = t;
        while (!Uses(ids, top_k, last, item)) --last;
        return std::tuple(coming, last, -item);
      };
      held.erase(*std::min_element(held.begin(), held.end(),
                                   [&](int a, int b) { return worth(a) < worth(b); }));
    }
  }
  return hits;
}

TEST(LocalConsistencyTest, CacheIsThatOfTheDefinition) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    const int items = 1 + static_cast<int>(seed % 7);
    const int top_k = 1 + static_cast<int>(seed % 3);
    const ConsistencyOptions options = {items, 1 + static_cast<int>(seed % 6),
                                        1 + static_cast<int>(seed % 4)};
    const auto ids = RandomIds(30, top_k, items, seed);
    const auto counts = Count(options, ids, top_k);
    double needed = 0.0;
    const double hits = HitsByDefinition(options, ids, top_k, needed);
    EXPECT_EQ(counts[counts.size() - 2], hits) << "seed " << seed;
    EXPECT_EQ(counts.back(), needed) << "seed " << seed;
  }
}

TEST(LocalConsistencyTest, ShortAndEmptySequencesHaveNoWindow) {
  const auto empty = Count({3, 4, 1}, {}, 2);
  EXPECT_EQ(empty, std::vector<double>(7, 0.0));
  const auto shorter = Count({3, 4, 2}, {0, 1, 2, -1, 0, 1}, 2);
  EXPECT_EQ(std::vector<double>(shorter.begin(), shorter.begin() + 5), std::vector<double>(5, 0.0));
  EXPECT_EQ(shorter[6], 5.0);
  EXPECT_FALSE(BestSegmentRouting(std::span(shorter).first(5)).has_value());
}

}  // namespace
}  // namespace equipoise::routing
