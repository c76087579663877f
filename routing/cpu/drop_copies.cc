#include "routing/cpu/drop_copies.h"

#include <algorithm>

#include "routing/cpu/coarse_score.h"

namespace equipoise::cpu {
namespace {

// Sorts the copies by expert, in `members`; afterwards those of e end at next[e].
void GroupByExpert(std::span<const int32_t> ids, std::span<int64_t> members,
                   std::span<int64_t> next) {
  std::fill(next.begin(), next.end(), int64_t{0});
  for (const int32_t id : ids) {
    if (id >= 0) ++next[static_cast<size_t>(id) + 1];
  }
  for (size_t e = 1; e < next.size(); ++e) next[e] += next[e - 1];
  for (size_t copy = 0; copy < ids.size(); ++copy) {
    if (ids[copy] < 0) continue;
    members[static_cast<size_t>(next[static_cast<size_t>(ids[copy])]++)] =
        static_cast<int64_t>(copy);
  }
}

}  // namespace

template <typename T>
int64_t DropCopies(int64_t capacity, std::span<int32_t> ids, std::span<T> gates,
                   std::span<int64_t> members, std::span<int64_t> next) {
  GroupByExpert(ids, members, next);
  const auto rank = [&](int64_t copy) { return CoarseScore(gates[static_cast<size_t>(copy)]); };
  const auto keep_before = [&](int64_t a, int64_t b) {
    return rank(a) != rank(b) ? rank(a) > rank(b) : a < b;
  };
  int64_t num_dropped = 0;
  int64_t begin = 0;
  for (size_t e = 0; e + 1 < next.size(); ++e) {
    const int64_t end = next[e];
    if (end - begin > capacity) {
      const auto first = members.begin() + begin;
      const auto last = members.begin() + end;
      std::nth_element(first, first + capacity, last, keep_before);
      for (auto copy = first + capacity; copy != last; ++copy) {
        ids[static_cast<size_t>(*copy)] = -1;
        gates[static_cast<size_t>(*copy)] = T{0};
      }
      num_dropped += end - begin - capacity;
    }
    begin = end;
  }
  return num_dropped;
}

template int64_t DropCopies<float>(int64_t, std::span<int32_t>, std::span<float>,
                                   std::span<int64_t>, std::span<int64_t>);
template int64_t DropCopies<double>(int64_t, std::span<int32_t>, std::span<double>,
                                    std::span<int64_t>, std::span<int64_t>);

}  // namespace equipoise::cpu
