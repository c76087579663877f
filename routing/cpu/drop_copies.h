#ifndef EQUIPOISE_ROUTING_CPU_DROP_COPIES_H_
#define EQUIPOISE_ROUTING_CPU_DROP_COPIES_H_

#include <cstdint>
#include <span>

namespace equipoise::cpu {

// Within one sequence, keeps for each expert the `capacity` copies of the largest gates (ties: the
// earlier copy; NaN counts as the smallest) and drops the rest: id -1, gate 0.
//   ids, gates [n]: the sequence's copies in order of (token, k)
//   members [n], next [E + 1]: scratch
// Returns the number dropped. Expected O(n + E).
template <typename T>
int64_t DropCopies(int64_t capacity, std::span<int32_t> ids, std::span<T> gates,
                   std::span<int64_t> members, std::span<int64_t> next);

}  // namespace equipoise::cpu

#endif  // EQUIPOISE_ROUTING_CPU_DROP_COPIES_H_
