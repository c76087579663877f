#ifndef EQUIPOISE_CORE_BASE_RNG_H_
#define EQUIPOISE_CORE_BASE_RNG_H_

#include <array>
#include <cstdint>
#include <string_view>

namespace equipoise {

// Counter-based random numbers (Philox4x32-10; Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", SC 2011). A draw is a pure function of (key, counter), so it is the same on every
// layout: never of a thread, a rank, or how many draws came before. No state, thread-safe.
class Philox {
 public:
  // A key names a stream: derive it from (seed, what the stream is for), see StreamKey.
  explicit Philox(uint64_t key) : key_(key) {}

  // Four independent uniform 32-bit words for a 128-bit counter.
  std::array<uint32_t, 4> Words(uint64_t counter_low, uint64_t counter_high = 0) const;

  // Uniform in [0, 1), 53 random bits.
  double Uniform(uint64_t counter_low, uint64_t counter_high = 0) const;

  // Standard normal (Box-Muller on the words of one counter).
  double Normal(uint64_t counter_low, uint64_t counter_high = 0) const;

  // Uniform in [0, bound), without modulo bias beyond 2^-64. REQUIRES: bound > 0.
  uint64_t Below(uint64_t bound, uint64_t counter_low, uint64_t counter_high = 0) const;

 private:
  uint64_t key_;
};

// Key of the stream `purpose` (for example a parameter's logical name) of a run with `seed`.
// FNV-1a over the text, mixed with the seed by SplitMix64.
uint64_t StreamKey(uint64_t seed, std::string_view purpose);

// A bijection of [0, size) chosen by `key`: the i-th element of a pseudo-random permutation in
// O(1) memory (four-round Feistel network over the next power of four, cycle walking).
// REQUIRES: 0 <= index < size.
uint64_t PermutedIndex(uint64_t key, uint64_t index, uint64_t size);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_BASE_RNG_H_
