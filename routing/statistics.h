#ifndef EQUIPOISE_ROUTING_STATISTICS_H_
#define EQUIPOISE_ROUTING_STATISTICS_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace equipoise::routing {

// How every router's packed sums begin (see Router); what its losses need follows.
struct StatisticsLayout {
  int64_t num_experts = 0;  // E

  int64_t dropped() const { return num_experts; }
  int64_t entropy() const { return num_experts + 1; }
  int64_t size() const { return num_experts + 2; }
  template <typename T>
  std::span<T> Counts(std::span<T> sums) const {
    return sums.first(static_cast<size_t>(num_experts));
  }
};

// counts[e] += the copies of e; ids of -1 are passed over.
inline void CountCopies(std::span<const int32_t> expert_ids, std::span<double> counts) {
  for (const int32_t id : expert_ids) {
    if (id >= 0) counts[static_cast<size_t>(id)] += 1.0;
  }
}

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_STATISTICS_H_
