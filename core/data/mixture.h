#ifndef EQUIPOISE_CORE_DATA_MIXTURE_H_
#define EQUIPOISE_CORE_DATA_MIXTURE_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"

namespace equipoise {

// Which domain a sample belongs to, as a pure function of (weights, seed, sample index). A plain
// immutable value; thread-safe.
//
// Samples come in blocks of kBlock. In every block domain d has exactly quota(d) samples: kBlock
// times its share of the weights, rounded by largest remainder (lowest domain first on a tie), at
// least 1. So the share is exact within 1/kBlock per block, for ever. Inside the block the order is
// stratified: the k-th sample of domain d has the time (k + u(d, k)) / quota(d), u uniform in
// [0, 1) from the seed, and samples go by time. After any n samples of D domains
//   |samples of d - n * share(d)| <= 1 + D * share(d)      share(d) = quota(d) / kBlock
// so a batch has nearly the mixture's shares, yet no pattern that would give one rank one domain.
class Mixture {
 public:
  static constexpr int64_t kBlock = 65536;

  // InvalidArgument when `weights` is empty, holds more than kBlock / 64 domains, or one of them is
  // not a positive finite number. Only the ratios of the weights matter.
  static absl::StatusOr<Mixture> Create(std::span<const double> weights, uint64_t seed);

  struct Draw {
    int domain = 0;
    // How many samples of that domain come before this one, over all blocks.
    uint64_t ordinal = 0;
  };

  // The draw of sample `index`. O(1). REQUIRES: index < 2^63.
  Draw At(uint64_t index) const;

  int num_domains() const { return static_cast<int>(quotas_.size()); }
  // Samples of `domain` in every block of kBlock.
  int64_t quota(int domain) const { return quotas_[domain]; }
  // The share that is really drawn: quota / kBlock.
  double share(int domain) const { return static_cast<double>(quotas_[domain]) / kBlock; }

 private:
  struct Slot {
    uint32_t domain;
    uint32_t ordinal;  // within the block
  };

  Mixture(std::vector<int64_t> quotas, std::vector<Slot> slots);

  std::vector<int64_t> quotas_;
  std::vector<Slot> slots_;  // [kBlock]
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_DATA_MIXTURE_H_
