#ifndef EQUIPOISE_ROUTING_GATE_HISTOGRAM_H_
#define EQUIPOISE_ROUTING_GATE_HISTOGRAM_H_

#include <cstdint>
#include <span>

// How large the gates of a layer are, and how many copies its tokens have: integers in bins whose
// edges are the same for every model, so that they add up over ranks, micro-batches and steps, and
// can be laid beside those of another run.
namespace equipoise::routing {

// Four bins to a doubling, as in HdrHistogram: bin 0 has all below 2^-8, bin 1 + 4 * i + j what
// lies in 2^(i - 8) * [1 + j / 4, 1 + (j + 1) / 4), the last one 4 and more. Edges of two
// significant bits: which bin a gate is in can be read from its float's bits.
inline constexpr int kGateBinsPerDoubling = 4;
inline constexpr int kLowestGateExponent = -8;
inline constexpr int kHighestGateExponent = 2;
inline constexpr int kNumGateBins =
    2 + kGateBinsPerDoubling * (kHighestGateExponent - kLowestGateExponent);

// In [0, kNumGateBins). A negative gate is in the first bin; one that misses 1 by rounding, 2^-21
// at most, is in that of 1.
int GateBin(float gate);
// The least gate of a bin; 0 for the first. `bin` may be kNumGateBins: where the last would end.
double GateBinEdge(int bin);

// The gate that `share` of the copies are below, by what is known of it: linear inside its bin. At
// most 1 where no copy is in a bin beyond that of 1: gates that add up to one are not more. 0
// without copies. REQUIRES: share in [0, 1].
double GateQuantile(std::span<const double> bins, double share);

// Adds expert_ids [T, K'] (host) and gates [T, K'] (host, kF32 or kF64): of every copy (id >= 0)
// its gate to bins [kNumGateBins], of every token its number of copies to copies [K' + 1].
template <typename Gate>
void CountGates(std::span<const int32_t> expert_ids, std::span<const Gate> gates,
                int64_t copies_per_token, std::span<double> bins, std::span<double> copies);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_GATE_HISTOGRAM_H_
