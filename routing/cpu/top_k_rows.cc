#include "routing/cpu/top_k_rows.h"

#include <limits>

// Compiled once per instruction set: foreach_target.h includes this file again and again.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "routing/cpu/top_k_rows.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

// Only after foreach_target.h:
#include "core/base/vector_access-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace equipoise::cpu::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// A score and its index in one integer that is larger the sooner it is chosen: above, the score's
// bits, turned so that integers compare as the numbers do; below, all ones minus the index. No two
// keys are equal, so the next of the chosen is the largest key below the last: no branch depends on
// the scores, and no score has to be taken out.
using KeyTag = hn::ScalableTag<int64_t>;
using KeyVector = hn::Vec<KeyTag>;

// Longer rows are sorted by insertion.
constexpr int64_t kMaxKeys = 1024;
constexpr int64_t kKeyLanes = hn::MaxLanes(KeyTag());
constexpr int64_t kLowestKey = std::numeric_limits<int64_t>::min();
constexpr int64_t kIndexMask = 0xffffffff;

struct Keys {
  // Of the last vector, the lanes beyond n hold the lowest key.
  HWY_ALIGN int64_t values[kMaxKeys];
};

HWY_INLINE void MakeKeys(const float* scores, int64_t n, Keys& keys) {
  const KeyTag d;
  const hn::Rebind<float, KeyTag> df;
  const hn::Rebind<int32_t, KeyTag> di;
  const auto lowest = hn::Set(di, std::numeric_limits<int32_t>::min());
  const auto magnitude = hn::Set(di, std::numeric_limits<int32_t>::max());
  ForEachVector(df, n, [&](const auto& access, int64_t i) HWY_ATTR {
    // Adding zero makes one zero of two.
    const auto score = hn::Add(access.Load(df, scores + i), hn::Zero(df));
    const auto bits = hn::BitCast(di, score);
    const auto turned = hn::Xor(bits, hn::And(hn::BroadcastSignBit(bits), magnitude));
    const auto number = hn::RebindMask(di, hn::Eq(score, score));
    const auto high = hn::PromoteTo(d, hn::IfThenElse(number, turned, lowest));
    const auto index = hn::Sub(hn::Set(d, kIndexMask - i), hn::Iota(d, 0));
    hn::Store(hn::Or(hn::ShiftLeft<32>(high), index), d, keys.values + i);
  });
  for (int64_t i = n; i % kKeyLanes != 0; ++i) keys.values[i] = kLowestKey;
}

// Chooses for kRows rows at a time: each choice waits for the one before, rows for nothing.
template <int64_t kRows>
HWY_INLINE void ChooseByKeys(const Keys* keys, int64_t n, int64_t top_k, int32_t* ids) {
  const KeyTag d;
  const auto lowest = hn::Set(d, kLowestKey);
  KeyVector last[kRows];
  for (int64_t r = 0; r < kRows; ++r) last[r] = hn::Set(d, std::numeric_limits<int64_t>::max());
  for (int64_t k = 0; k < top_k; ++k) {
    KeyVector best[kRows];
    for (int64_t r = 0; r < kRows; ++r) best[r] = lowest;
    for (int64_t i = 0; i < n; i += kKeyLanes) {
      for (int64_t r = 0; r < kRows; ++r) {
        const auto key = hn::Load(d, keys[r].values + i);
        best[r] = hn::Max(best[r], hn::IfThenElse(hn::Lt(key, last[r]), key, lowest));
      }
    }
    for (int64_t r = 0; r < kRows; ++r) {
      last[r] = hn::MaxOfLanes(d, best[r]);
      const int64_t index = kIndexMask - (hn::GetLane(last[r]) & kIndexMask);
      ids[r * top_k + k] = static_cast<int32_t>(index);
    }
  }
}

template <int64_t kRows>
HWY_INLINE void ChooseFromRows(const float* scores, int64_t n, int64_t top_k, Keys* keys,
                               int32_t* ids) {
  for (int64_t r = 0; r < kRows; ++r) MakeKeys(scores + r * n, n, keys[r]);
  ChooseByKeys<kRows>(keys, n, top_k, ids);
}

// Whether a score is chosen before another that came earlier.
template <typename T>
HWY_INLINE bool Beats(T score, T earlier) {
  return score > earlier || (earlier != earlier && score == score);
}

template <typename T>
HWY_INLINE void ChooseByInsertion(const T* scores, int64_t n, int64_t top_k, int32_t* ids) {
  for (int64_t i = 0; i < n; ++i) {
    int64_t position = i < top_k ? i : top_k;
    if (position == top_k && !Beats(scores[i], scores[ids[top_k - 1]])) continue;
    for (; position > 0 && Beats(scores[i], scores[ids[position - 1]]); --position) {
      if (position < top_k) ids[position] = ids[position - 1];
    }
    ids[position] = static_cast<int32_t>(i);
  }
}

}  // namespace

void TopKOfFloats(const float* scores, int64_t rows, int64_t n, int64_t top_k, int32_t* ids) {
  constexpr int64_t kRowsTogether = 4;
  Keys keys[kRowsTogether];
  int64_t row = 0;
  for (; n <= kMaxKeys && row + kRowsTogether <= rows; row += kRowsTogether) {
    ChooseFromRows<kRowsTogether>(scores + row * n, n, top_k, keys, ids + row * top_k);
  }
  for (; row < rows; ++row) {
    if (n <= kMaxKeys) {
      ChooseFromRows<1>(scores + row * n, n, top_k, keys, ids + row * top_k);
    } else {
      ChooseByInsertion(scores + row * n, n, top_k, ids + row * top_k);
    }
  }
}

void TopKOfDoubles(const double* scores, int64_t rows, int64_t n, int64_t top_k, int32_t* ids) {
  for (int64_t row = 0; row < rows; ++row, scores += n, ids += top_k) {
    ChooseByInsertion(scores, n, top_k, ids);
  }
}

}  // namespace equipoise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace equipoise::cpu {

HWY_EXPORT(TopKOfFloats);
HWY_EXPORT(TopKOfDoubles);

template <>
void TopKRows<float>(const float* scores, int64_t rows, int64_t n, int64_t top_k, int32_t* ids) {
  HWY_DYNAMIC_DISPATCH(TopKOfFloats)(scores, rows, n, top_k, ids);
}
template <>
void TopKRows<double>(const double* scores, int64_t rows, int64_t n, int64_t top_k, int32_t* ids) {
  HWY_DYNAMIC_DISPATCH(TopKOfDoubles)(scores, rows, n, top_k, ids);
}

}  // namespace equipoise::cpu
#endif  // HWY_ONCE
