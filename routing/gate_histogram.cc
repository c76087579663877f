#include "routing/gate_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <numeric>

#include "core/base/check.h"

namespace equipoise::routing {
namespace {

// Of an IEEE 754 float.
constexpr int kMantissaBits = 23;
constexpr int kExponentBias = 127;
constexpr int kMantissaBitsOfBin = 2;  // 4 bins to a doubling
static_assert(kGateBinsPerDoubling == 1 << kMantissaBitsOfBin);

// The exponent and the first two bits of the mantissa count the bins.
constexpr int kFirstBin = (kLowestGateExponent + kExponentBias) * kGateBinsPerDoubling;

// Eight units in the last place below 1: what dividing K gates by their sum may lose.
constexpr float kRounding = 0x1p-21F;
constexpr int kBinOfOne = 1 - kLowestGateExponent * kGateBinsPerDoubling;

}  // namespace

int GateBin(float gate) {
  if (gate < 1.0F && gate >= 1.0F - kRounding) gate = 1.0F;
  const auto bits = std::bit_cast<int32_t>(gate);
  const int bin = (bits >> (kMantissaBits - kMantissaBitsOfBin)) - kFirstBin + 1;
  return std::clamp(bin, 0, kNumGateBins - 1);
}

double GateBinEdge(int bin) {
  EQ_CHECK(bin >= 0 && bin <= kNumGateBins) << "bin " << bin;
  if (bin == 0) return 0.0;
  const int exponent = (bin - 1) / kGateBinsPerDoubling + kLowestGateExponent;
  const int quarter = (bin - 1) % kGateBinsPerDoubling;
  return std::ldexp(1.0 + static_cast<double>(quarter) / kGateBinsPerDoubling, exponent);
}

double GateQuantile(std::span<const double> bins, double share) {
  const double total = std::accumulate(bins.begin(), bins.end(), 0.0);
  const bool beyond_one =
      std::any_of(bins.begin() + std::min<ptrdiff_t>(kBinOfOne + 1, std::ssize(bins)), bins.end(),
                  [](double count) { return count > 0.0; });
  double below = 0.0;
  for (size_t bin = 0; bin < bins.size() && total > 0.0; ++bin) {
    if (bins[bin] == 0.0 || below + bins[bin] < share * total) {
      below += bins[bin];
      continue;
    }
    const double low = GateBinEdge(static_cast<int>(bin));
    const double width = GateBinEdge(static_cast<int>(bin) + 1) - low;
    const double gate = low + width * (share * total - below) / bins[bin];
    return beyond_one ? gate : std::min(gate, 1.0);
  }
  return 0.0;
}

template <typename Gate>
void CountGates(std::span<const int32_t> expert_ids, std::span<const Gate> gates,
                int64_t copies_per_token, std::span<double> bins, std::span<double> copies) {
  EQ_CHECK_EQ(expert_ids.size(), gates.size());
  EQ_CHECK_EQ(bins.size(), static_cast<size_t>(kNumGateBins));
  const auto columns = static_cast<size_t>(copies_per_token);
  EQ_CHECK_EQ(copies.size(), columns + 1);
  for (size_t row = 0; row < expert_ids.size(); row += columns) {
    size_t sent = 0;
    for (size_t i = row; i < row + columns; ++i) {
      if (expert_ids[i] < 0) continue;
      ++sent;
      bins[static_cast<size_t>(GateBin(static_cast<float>(gates[i])))] += 1.0;
    }
    copies[sent] += 1.0;
  }
}

template void CountGates<float>(std::span<const int32_t>, std::span<const float>, int64_t,
                                std::span<double>, std::span<double>);
template void CountGates<double>(std::span<const int32_t>, std::span<const double>, int64_t,
                                 std::span<double>, std::span<double>);

}  // namespace equipoise::routing
