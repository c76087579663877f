#include "core/base/rng.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <set>
#include <vector>

#include "gtest/gtest.h"

namespace equipoise {
namespace {

// The vectors that come with Random123 (kat_vectors, philox4x32 10). Our 64-bit key and counters
// hold two 32-bit words each, the first in the low half.
TEST(PhiloxTest, KnownAnswers) {
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(Philox(0).Words(0, 0), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox(~0ull).Words(~0ull, ~0ull),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox(0x299f31d0a4093822ull).Words(0x85a308d3243f6a88ull, 0x0370734413198a2eull),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(PhiloxTest, ADrawIsAFunctionOfKeyAndCounter) {
  EXPECT_EQ(Philox(5).Uniform(7, 9), Philox(5).Uniform(7, 9));
  EXPECT_NE(Philox(5).Uniform(7, 9), Philox(6).Uniform(7, 9));
  EXPECT_NE(Philox(5).Uniform(7, 9), Philox(5).Uniform(8, 9));
  EXPECT_NE(Philox(5).Uniform(7, 9), Philox(5).Uniform(7, 10));
}

// Mean and variance within five standard errors of the truth.
TEST(PhiloxTest, MomentsOfUniformAndNormal) {
  constexpr int kCount = 100'000;
  double uniform_sum = 0.0, normal_sum = 0.0, normal_square = 0.0;
  const Philox philox(1);
  for (uint64_t i = 0; i < kCount; ++i) {
    const double uniform = philox.Uniform(i);
    ASSERT_GE(uniform, 0.0);
    ASSERT_LT(uniform, 1.0);
    uniform_sum += uniform;
    const double normal = philox.Normal(i, 1);
    ASSERT_TRUE(std::isfinite(normal));
    normal_sum += normal;
    normal_square += normal * normal;
  }
  const double root = std::sqrt(static_cast<double>(kCount));
  EXPECT_NEAR(uniform_sum / kCount, 0.5, 5.0 * std::sqrt(1.0 / 12.0) / root);
  EXPECT_NEAR(normal_sum / kCount, 0.0, 5.0 / root);
  EXPECT_NEAR(normal_square / kCount, 1.0, 5.0 * std::sqrt(2.0) / root);
}

TEST(PhiloxTest, BelowIsUniform) {
  constexpr uint64_t kBound = 7, kCount = 70'000;
  std::vector<double> counts(kBound);
  for (uint64_t i = 0; i < kCount; ++i) ++counts.at(Philox(3).Below(kBound, i));
  // Chi-squared with 6 degrees of freedom: 22.5 is passed once in a thousand seeds.
  const double expected = static_cast<double>(kCount) / kBound;
  double chi_squared = 0.0;
  for (const double count : counts) {
    chi_squared += (count - expected) * (count - expected) / expected;
  }
  EXPECT_LT(chi_squared, 22.5);
  EXPECT_EQ(Philox(3).Below(1, 5), 0u);
  EXPECT_LT(Philox(3).Below(~0ull, 5), ~0ull);
}

TEST(PhiloxDeathTest, BelowZeroDies) { EXPECT_DEATH(Philox(3).Below(0, 5), "bound > 0"); }

TEST(StreamKeyTest, TellsSeedsAndPurposesApart) {
  std::set<uint64_t> keys;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    for (const char* purpose : {"", "a", "b", "ab", "ba", "model.layers.0.mlp.gate.weight"}) {
      keys.insert(StreamKey(seed, purpose));
    }
  }
  EXPECT_EQ(keys.size(), 300u);
  EXPECT_EQ(StreamKey(1, "a"), StreamKey(1, "a"));
}

TEST(PermutedIndexTest, IsABijection) {
  for (const uint64_t size : {1u, 2u, 3u, 4u, 5u, 16u, 17u, 63u, 64u, 65u, 1000u, 4097u}) {
    for (const uint64_t key : {0ull, 1ull, 0x123456789abcdefull}) {
      std::vector<bool> seen(size, false);
      for (uint64_t i = 0; i < size; ++i) {
        const uint64_t image = PermutedIndex(key, i, size);
        ASSERT_LT(image, size);
        ASSERT_FALSE(seen[image]) << image << " twice, size " << size << " key " << key;
        seen[image] = true;
      }
    }
  }
}

TEST(PermutedIndexTest, KeysGiveDifferentOrdersThatLeaveFewInPlace) {
  constexpr uint64_t kSize = 1000;
  int fixed = 0, same = 0;
  for (uint64_t i = 0; i < kSize; ++i) {
    if (PermutedIndex(1, i, kSize) == i) ++fixed;
    if (PermutedIndex(1, i, kSize) == PermutedIndex(2, i, kSize)) ++same;
  }
  // Each is about Poisson with mean one: more than ten happens once in 10^8.
  EXPECT_LE(fixed, 10);
  EXPECT_LE(same, 10);
}

TEST(PermutedIndexTest, LargeSizes) {
  constexpr uint64_t kSize = (1ull << 62) + 12345;
  for (uint64_t i = 0; i < 100; ++i) EXPECT_LT(PermutedIndex(7, kSize - 1 - i, kSize), kSize);
}

TEST(PermutedIndexDeathTest, IndexBeyondSizeDies) {
  EXPECT_DEATH(PermutedIndex(7, 5, 5), "5 against 5");
}

}  // namespace
}  // namespace equipoise
