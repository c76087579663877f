#include "core/base/rng.h"

#include <cmath>
#include <numbers>

#include "core/base/check.h"

namespace equipoise {
namespace {

constexpr uint32_t kMultiplier0 = 0xD2511F53u;
constexpr uint32_t kMultiplier1 = 0xCD9E8D57u;
constexpr uint32_t kWeyl0 = 0x9E3779B9u;
constexpr uint32_t kWeyl1 = 0xBB67AE85u;
constexpr int kRounds = 10;

uint64_t SplitMix64(uint64_t z) {
  z += 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

double UnitInterval(uint32_t high, uint32_t low) {
  const uint64_t bits = (static_cast<uint64_t>(high) << 32) | low;
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

}  // namespace

std::array<uint32_t, 4> Philox::Words(uint64_t counter_low, uint64_t counter_high) const {
  uint32_t c0 = static_cast<uint32_t>(counter_low);
  uint32_t c1 = static_cast<uint32_t>(counter_low >> 32);
  uint32_t c2 = static_cast<uint32_t>(counter_high);
  uint32_t c3 = static_cast<uint32_t>(counter_high >> 32);
  uint32_t k0 = static_cast<uint32_t>(key_);
  uint32_t k1 = static_cast<uint32_t>(key_ >> 32);
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t p0 = static_cast<uint64_t>(kMultiplier0) * c0;
    const uint64_t p1 = static_cast<uint64_t>(kMultiplier1) * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p1);
    c3 = static_cast<uint32_t>(p0);
    k0 += kWeyl0;
    k1 += kWeyl1;
  }
  return {c0, c1, c2, c3};
}

double Philox::Uniform(uint64_t counter_low, uint64_t counter_high) const {
  const auto words = Words(counter_low, counter_high);
  return UnitInterval(words[0], words[1]);
}

double Philox::Normal(uint64_t counter_low, uint64_t counter_high) const {
  const auto words = Words(counter_low, counter_high);
  const double radius = std::sqrt(-2.0 * std::log1p(-UnitInterval(words[0], words[1])));
  return radius * std::cos(2.0 * std::numbers::pi * UnitInterval(words[2], words[3]));
}

uint64_t Philox::Below(uint64_t bound, uint64_t counter_low, uint64_t counter_high) const {
  EQ_CHECK(bound > 0);
  const auto words = Words(counter_low, counter_high);
  const uint64_t bits = (static_cast<uint64_t>(words[0]) << 32) | words[1];
  return static_cast<uint64_t>((static_cast<unsigned __int128>(bits) * bound) >> 64);
}

uint64_t StreamKey(uint64_t seed, std::string_view purpose) {
  uint64_t hash = 0xCBF29CE484222325ull;
  for (const char c : purpose) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3ull;
  return SplitMix64(SplitMix64(seed) ^ hash);
}

uint64_t PermutedIndex(uint64_t key, uint64_t index, uint64_t size) {
  EQ_CHECK_LT(index, size);
  int half_bits = 1;
  while (half_bits < 32 && (uint64_t{1} << (2 * half_bits)) < size) ++half_bits;
  const uint64_t mask = (uint64_t{1} << half_bits) - 1;
  uint64_t value = index;
  do {
    uint64_t left = value >> half_bits;
    uint64_t right = value & mask;
    for (uint64_t round = 0; round < 4; ++round) {
      const uint64_t mixed = left ^ (SplitMix64(key ^ SplitMix64(right * 4 + round)) & mask);
      left = right;
      right = mixed;
    }
    value = (left << half_bits) | right;
  } while (value >= size);
  return value;
}

}  // namespace equipoise
