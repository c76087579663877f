#include "core/data/mixture.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/rng.h"

namespace equipoise {
namespace {

constexpr size_t kMaxDomains = Mixture::kBlock / 64;

absl::Status CheckWeights(std::span<const double> weights) {
  if (weights.empty() || weights.size() > kMaxDomains) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected 1 to ", kMaxDomains, " domains, found ", weights.size()));
  }
  for (size_t d = 0; d < weights.size(); ++d) {
    if (std::isfinite(weights[d]) && weights[d] > 0) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("domain ", d, ": expected a positive finite weight, found ", weights[d],
                     "; to leave a domain out, remove its source"));
  }
  return absl::OkStatus();
}

// Largest remainder over what is left when every domain has its one sample: a share below 1/kBlock
// cannot vanish, and the sum is kBlock by construction.
std::vector<int64_t> Quotas(std::span<const double> weights) {
  const size_t num_domains = weights.size();
  // Scaled by the largest, so that the sum of huge weights stays finite.
  const double largest = *std::max_element(weights.begin(), weights.end());
  double total = 0;
  for (const double weight : weights) total += weight / largest;
  std::vector<int64_t> quotas(num_domains);
  std::vector<double> remainders(num_domains);
  for (size_t d = 0; d < num_domains; ++d) {
    const double exact = Mixture::kBlock * (weights[d] / largest / total);
    quotas[d] = std::max<int64_t>(1, static_cast<int64_t>(exact));
    remainders[d] = exact - static_cast<double>(quotas[d]);
  }
  std::vector<size_t> order(num_domains);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return remainders[a] > remainders[b]; });
  int64_t missing = Mixture::kBlock - std::accumulate(quotas.begin(), quotas.end(), int64_t{0});
  for (size_t i = 0; missing > 0; i = (i + 1) % num_domains, --missing) ++quotas[order[i]];
  // Samples given to domains below one sample a block come from the largest.
  for (; missing < 0; ++missing) --*std::max_element(quotas.begin(), quotas.end());
  return quotas;
}

}  // namespace

absl::StatusOr<Mixture> Mixture::Create(std::span<const double> weights, uint64_t seed) {
  if (absl::Status status = CheckWeights(weights); !status.ok()) return status;
  std::vector<int64_t> quotas = Quotas(weights);
  struct Timed {
    double time;
    Slot slot;
  };
  std::vector<Timed> timed;
  timed.reserve(kBlock);
  const Philox jitter(StreamKey(seed, "data.mixture"));
  for (uint32_t d = 0; d < quotas.size(); ++d) {
    for (uint32_t k = 0; k < quotas[d]; ++k) {
      timed.push_back({(k + jitter.Uniform(k, d)) / static_cast<double>(quotas[d]), {d, k}});
    }
  }
  std::sort(timed.begin(), timed.end(), [](const Timed& a, const Timed& b) {
    return a.time != b.time ? a.time < b.time : a.slot.domain < b.slot.domain;
  });
  std::vector<Slot> slots;
  slots.reserve(kBlock);
  for (const Timed& item : timed) slots.push_back(item.slot);
  return Mixture(std::move(quotas), std::move(slots));
}

Mixture::Mixture(std::vector<int64_t> quotas, std::vector<Slot> slots)
    : quotas_(std::move(quotas)), slots_(std::move(slots)) {}

Mixture::Draw Mixture::At(uint64_t index) const {
  EQ_CHECK_LT(index, uint64_t{1} << 63);
  const Slot& slot = slots_[index % kBlock];
  const uint64_t block = index / kBlock;
  return {static_cast<int>(slot.domain),
          block * static_cast<uint64_t>(quotas_[slot.domain]) + slot.ordinal};
}

}  // namespace equipoise
