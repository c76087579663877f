#include "routing/cpu/score_rows.h"

#include <cmath>
#include <limits>

#include "hwy/highway.h"
// Needs highway.h first.
#include "hwy/contrib/math/math-inl.h"

// Compiled once, for the instruction set of the build: rows are so short that picking one at run
// time would cost as much as the work.
HWY_BEFORE_NAMESPACE();
namespace equipoise::cpu {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Calls body(offset, mask) for every vector of a row; only the last mask may be partial.
template <class D, class Body>
HWY_INLINE void ForEachVector(D d, int64_t n, Body&& body) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto all = hn::FirstN(d, static_cast<size_t>(lanes));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) body(i, all);
  if (i < n) body(i, hn::FirstN(d, static_cast<size_t>(n - i)));
}

// exp(x), but NaN where x is not finite (Highway's own gives 0 for NaN).
template <class D, class V>
HWY_INLINE V ExpOfFinite(D d, V x) {
  return hn::Add(hn::Exp(d, x), hn::Sub(x, x));
}

template <typename T>
T RowMaximum(const T* x, int64_t n) {
  const hn::ScalableTag<T> d;
  const auto lowest = hn::Set(d, -std::numeric_limits<T>::infinity());
  auto best = lowest;
  ForEachVector(d, n, [&](int64_t i, auto mask) {
    best = hn::Max(best, hn::IfThenElse(mask, hn::MaskedLoad(mask, d, x + i), lowest));
  });
  return hn::GetLane(hn::MaxOfLanes(d, best));
}

}  // namespace

template <typename T>
T SoftmaxRow(const T* logits, int64_t n, T* p) {
  const hn::ScalableTag<T> d;
  const T maximum = RowMaximum(logits, n);
  const auto shift = hn::Set(d, maximum);
  auto sums = hn::Zero(d);
  ForEachVector(d, n, [&](int64_t i, auto mask) {
    // Inactive lanes take the shift's own value, so that they cannot overflow.
    const auto logit = hn::IfThenElse(mask, hn::MaskedLoad(mask, d, logits + i), shift);
    const auto value = ExpOfFinite(d, hn::Sub(logit, shift));
    hn::BlendedStore(value, mask, d, p + i);
    sums = hn::Add(sums, hn::IfThenElseZero(mask, value));
  });
  const T sum = hn::GetLane(hn::SumOfLanes(d, sums));
  ScaleRow(T{1} / sum, n, p);
  return maximum + std::log(sum);
}

template <typename T>
T SigmoidRow(const T* logits, int64_t n, T* s) {
  const hn::ScalableTag<T> d;
  const auto one = hn::Set(d, T{1});
  auto sums = hn::Zero(d);
  ForEachVector(d, n, [&](int64_t i, auto mask) {
    const auto logit = hn::MaskedLoad(mask, d, logits + i);
    const auto z = ExpOfFinite(d, hn::Neg(hn::Abs(logit)));
    const auto numerator = hn::IfThenElse(hn::Ge(logit, hn::Zero(d)), one, z);
    const auto value = hn::Div(numerator, hn::Add(one, z));
    hn::BlendedStore(value, mask, d, s + i);
    sums = hn::Add(sums, hn::IfThenElseZero(mask, value));
  });
  return hn::GetLane(hn::SumOfLanes(d, sums));
}

template <typename T>
void ScaleRow(T factor, int64_t n, T* x) {
  for (int64_t i = 0; i < n; ++i) x[i] *= factor;
}

template <typename T>
void AddScaledRow(T alpha, const T* x, int64_t n, T* y) {
  for (int64_t i = 0; i < n; ++i) y[i] += alpha * x[i];
}

template <typename T>
T DotRow(const T* x, const T* y, int64_t n) {
  const hn::ScalableTag<T> d;
  auto sums = hn::Zero(d);
  ForEachVector(d, n, [&](int64_t i, auto mask) {
    sums = hn::MulAdd(hn::MaskedLoad(mask, d, x + i), hn::MaskedLoad(mask, d, y + i), sums);
  });
  return hn::GetLane(hn::SumOfLanes(d, sums));
}

template <typename T>
T EntropyRow(const T* p, int64_t n) {
  const hn::ScalableTag<T> d;
  auto sums = hn::Zero(d);
  ForEachVector(d, n, [&](int64_t i, auto mask) {
    const auto value = hn::MaskedLoad(mask, d, p + i);
    const auto term = hn::Mul(value, hn::Log(d, value));
    // Zeros and inactive lanes: log gave -inf, the product NaN.
    sums = hn::Sub(sums, hn::IfThenElse(hn::Eq(value, hn::Zero(d)), value, term));
  });
  return hn::GetLane(hn::SumOfLanes(d, sums));
}

template <typename T>
void AddSoftmaxGradientRow(const T* p, const T* d, T shift, int64_t n, T* out) {
  for (int64_t i = 0; i < n; ++i) out[i] += p[i] * (d[i] - shift);
}

template <typename T>
void AddSigmoidGradientRow(const T* p, T normalizer, const T* d, T shift, int64_t n, T* out) {
  // s (1 - s) / normalizer = p (1 - s).
  for (int64_t i = 0; i < n; ++i) out[i] += p[i] * (T{1} - normalizer * p[i]) * (d[i] - shift);
}

template <typename T>
void AddRowToSums(const T* x, int64_t n, double* sums) {
  for (int64_t i = 0; i < n; ++i) sums[i] += static_cast<double>(x[i]);
}

namespace {

// Moves `id` from position `from` up past every smaller score.
template <typename T>
HWY_INLINE void InsertAscending(const T* scores, int32_t id, int64_t from, int32_t* ids) {
  const T score = scores[id];
  int64_t position = from;
  for (; position > 0 && score > scores[ids[position - 1]]; --position) {
    ids[position] = ids[position - 1];
  }
  ids[position] = id;
}

}  // namespace

template <typename T>
void TopKRow(const T* scores, int64_t n, int64_t top_k, int32_t* ids) {
  for (int64_t i = 0; i < top_k; ++i) InsertAscending(scores, static_cast<int32_t>(i), i, ids);

  // The rest comes in ascending order of id, so only a strictly larger score may displace one. A
  // vector in which none is larger than the last of the chosen is passed over whole.
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  T threshold = scores[ids[top_k - 1]];
  const auto offer = [&](int64_t i) {
    if (!(scores[i] > threshold)) return;
    InsertAscending(scores, static_cast<int32_t>(i), top_k - 1, ids);
    threshold = scores[ids[top_k - 1]];
  };
  int64_t i = top_k;
  for (; i + lanes <= n; i += lanes) {
    const auto larger = hn::Gt(hn::LoadU(d, scores + i), hn::Set(d, threshold));
    if (hn::AllFalse(d, larger)) continue;
    for (int64_t lane = 0; lane < lanes; ++lane) offer(i + lane);
  }
  for (; i < n; ++i) offer(i);
}

#define EQ_INSTANTIATE(T)                                                        \
  template T SoftmaxRow<T>(const T*, int64_t, T*);                               \
  template T SigmoidRow<T>(const T*, int64_t, T*);                               \
  template void ScaleRow<T>(T, int64_t, T*);                                     \
  template void AddScaledRow<T>(T, const T*, int64_t, T*);                       \
  template T DotRow<T>(const T*, const T*, int64_t);                             \
  template T EntropyRow<T>(const T*, int64_t);                                   \
  template void AddSoftmaxGradientRow<T>(const T*, const T*, T, int64_t, T*);    \
  template void AddSigmoidGradientRow<T>(const T*, T, const T*, T, int64_t, T*); \
  template void AddRowToSums<T>(const T*, int64_t, double*);                     \
  template void TopKRow<T>(const T*, int64_t, int64_t, int32_t*)
EQ_INSTANTIATE(float);
EQ_INSTANTIATE(double);
#undef EQ_INSTANTIATE

}  // namespace equipoise::cpu
HWY_AFTER_NAMESPACE();
