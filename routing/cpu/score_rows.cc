#include "routing/cpu/score_rows.h"

#include <cmath>
#include <limits>

// Compiled once per instruction set: foreach_target.h includes this file again and again.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "routing/cpu/score_rows.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

// Only after foreach_target.h:
#include "core/base/vector_access-inl.h"
#include "hwy/highway.h"
#include "routing/cpu/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace equipoise::cpu::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Lanes that a partial vector does not have become `other`.
template <class D, class V>
HWY_INLINE V OnlyLanes(D, const WholeVector&, V v, V) {
  return v;
}
template <class D, class V>
HWY_INLINE V OnlyLanes(D d, const PartOfVector& part, V v, V other) {
  return hn::IfThenElse(hn::FirstN(d, part.count), v, other);
}

// NaN where x is not finite, 0 elsewhere.
template <class V>
HWY_INLINE V NotFinite(V x) {
  return hn::Sub(x, x);
}

template <typename T>
HWY_INLINE T RowMaximum(const T* x, int64_t n) {
  const hn::ScalableTag<T> d;
  const auto lowest = hn::Set(d, -std::numeric_limits<T>::infinity());
  auto best = lowest;
  ForEachVector(d, n, [&](const auto& access, int64_t i) HWY_ATTR {
    best = hn::Max(best, OnlyLanes(d, access, access.Load(d, x + i), lowest));
  });
  return hn::GetLane(hn::MaxOfLanes(d, best));
}

template <typename T>
void Scale(T factor, int64_t n, T* x) {
  const hn::ScalableTag<T> d;
  const auto scale = hn::Set(d, factor);
  ForEachVector(d, n, [&](const auto& access, int64_t i) HWY_ATTR {
    access.Store(hn::Mul(access.Load(d, x + i), scale), d, x + i);
  });
}

template <typename T>
T Softmax(const T* logits, int64_t n, T* p) {
  const hn::ScalableTag<T> d;
  const T maximum = RowMaximum(logits, n);
  const auto shift = hn::Set(d, maximum);
  auto sums = hn::Zero(d);
  ForEachVector(d, n, [&](const auto& access, int64_t i) HWY_ATTR {
    const auto logit = access.Load(d, logits + i);
    const auto value = hn::Add(FastExp(d, hn::Sub(logit, shift)), NotFinite(logit));
    access.Store(value, d, p + i);
    sums = hn::Add(sums, OnlyLanes(d, access, value, hn::Zero(d)));
  });
  const T sum = hn::GetLane(hn::SumOfLanes(d, sums));
  Scale(T{1} / sum, n, p);
  return maximum + std::log(sum);
}

template <typename T>
T Sigmoid(const T* logits, int64_t n, T* s) {
  const hn::ScalableTag<T> d;
  const auto one = hn::Set(d, T{1});
  auto sums = hn::Zero(d);
  ForEachVector(d, n, [&](const auto& access, int64_t i) HWY_ATTR {
    const auto logit = access.Load(d, logits + i);
    // Of the magnitude, so that nothing overflows.
    const auto z = hn::Add(hn::Exp(d, hn::Neg(hn::Abs(logit))), NotFinite(logit));
    const auto numerator = hn::IfThenElse(hn::Ge(logit, hn::Zero(d)), one, z);
    const auto value = hn::Div(numerator, hn::Add(one, z));
    access.Store(value, d, s + i);
    sums = hn::Add(sums, OnlyLanes(d, access, value, hn::Zero(d)));
  });
  return hn::GetLane(hn::SumOfLanes(d, sums));
}

template <typename T>
void AddScaled(T alpha, const T* x, int64_t n, T* y) {
  const hn::ScalableTag<T> d;
  const auto factor = hn::Set(d, alpha);
  ForEachVector(d, n, [&](const auto& access, int64_t i) HWY_ATTR {
    access.Store(hn::MulAdd(factor, access.Load(d, x + i), access.Load(d, y + i)), d, y + i);
  });
}

template <typename T>
T Dot(const T* x, const T* y, int64_t n) {
  const hn::ScalableTag<T> d;
  auto sums = hn::Zero(d);
  ForEachVector(d, n, [&](const auto& access, int64_t i) HWY_ATTR {
    sums = hn::MulAdd(access.Load(d, x + i), access.Load(d, y + i), sums);
  });
  return hn::GetLane(hn::SumOfLanes(d, sums));
}

template <typename T>
T Entropy(const T* p, int64_t n) {
  const hn::ScalableTag<T> d;
  auto sums = hn::Zero(d);
  ForEachVector(d, n, [&](const auto& access, int64_t i) HWY_ATTR {
    const auto value = access.Load(d, p + i);
    const auto term = hn::Mul(value, hn::Log(d, value));
    // Zeros and lanes that are not there: log gave -inf, the product NaN.
    sums = hn::Sub(sums, hn::IfThenElse(hn::Eq(value, hn::Zero(d)), value, term));
  });
  return hn::GetLane(hn::SumOfLanes(d, sums));
}

template <typename T>
void ExpOfScaled(T factor, const T* x, int64_t n, T* y) {
  const hn::ScalableTag<T> d;
  const auto scale = hn::Set(d, factor);
  const auto largest = hn::Set(d, sizeof(T) == sizeof(float) ? T{88} : T{700});
  ForEachVector(d, n, [&](const auto& access, int64_t i) HWY_ATTR {
    const auto value = hn::Mul(access.Load(d, x + i), scale);
    const auto exponential = hn::Exp(d, hn::Min(value, largest));
    access.Store(hn::Add(exponential, NotFinite(value)), d, y + i);
  });
}

template <typename T>
void BinsOfMargins(const MarginBins<T>& bins, const T* scores, int64_t n, T* out) {
  const hn::ScalableTag<T> d;
  const auto threshold = hn::Set(d, bins.threshold);
  const auto range = hn::Set(d, bins.range);
  const auto half = hn::Set(d, bins.count / T{2});
  const auto last = hn::Set(d, bins.count - T{1});
  ForEachVector(d, n, [&](const auto& access, int64_t i) HWY_ATTR {
    const auto margin = hn::Sub(access.Load(d, scores + i), threshold);
    const auto u = hn::CopySign(hn::Sqrt(hn::Div(hn::Abs(margin), range)), margin);
    const auto bin = hn::Floor(hn::MulAdd(u, half, half));
    const auto inside = hn::Min(hn::Max(bin, hn::Zero(d)), last);
    access.Store(hn::IfThenElseZero(hn::Eq(margin, margin), inside), d, out + i);
  });
}

template <typename T>
void AddSoftmaxGradient(const T* p, const T* dp, T shift, int64_t n, T* out) {
  const hn::ScalableTag<T> d;
  const auto mean = hn::Set(d, shift);
  ForEachVector(d, n, [&](const auto& access, int64_t i) HWY_ATTR {
    const auto distance = hn::Sub(access.Load(d, dp + i), mean);
    access.Store(hn::MulAdd(access.Load(d, p + i), distance, access.Load(d, out + i)), d, out + i);
  });
}

template <typename T>
void AddSigmoidGradient(const T* p, T normalizer, const T* dp, T shift, int64_t n, T* out) {
  const hn::ScalableTag<T> d;
  const auto mean = hn::Set(d, shift);
  const auto scale = hn::Set(d, normalizer);
  const auto one = hn::Set(d, T{1});
  ForEachVector(d, n, [&](const auto& access, int64_t i) HWY_ATTR {
    const auto probability = access.Load(d, p + i);
    // s (1 - s) / normalizer = p (1 - s).
    const auto slope = hn::Mul(probability, hn::NegMulAdd(scale, probability, one));
    const auto distance = hn::Sub(access.Load(d, dp + i), mean);
    access.Store(hn::MulAdd(slope, distance, access.Load(d, out + i)), d, out + i);
  });
}

HWY_INLINE hn::Vec<hn::ScalableTag<double>> Widened(const auto& access, const float* x) {
  const hn::ScalableTag<double> d;
  return hn::PromoteTo(d, access.Load(hn::Rebind<float, decltype(d)>(), x));
}
HWY_INLINE hn::Vec<hn::ScalableTag<double>> Widened(const auto& access, const double* x) {
  return access.Load(hn::ScalableTag<double>(), x);
}

template <typename T>
void AddToSums(const T* x, int64_t n, double* sums) {
  const hn::ScalableTag<double> d;
  ForEachVector(d, n, [&](const auto& access, int64_t i) HWY_ATTR {
    access.Store(hn::Add(access.Load(d, sums + i), Widened(access, x + i)), d, sums + i);
  });
}

template <typename T>
const ScoreKernels<T>* Table() {
  static constexpr ScoreKernels<T> kTable = {
      .softmax = &Softmax<T>,
      .sigmoid = &Sigmoid<T>,
      .scale = &Scale<T>,
      .add_scaled = &AddScaled<T>,
      .dot = &Dot<T>,
      .entropy = &Entropy<T>,
      .margin_bins = &BinsOfMargins<T>,
      .exp = &ExpOfScaled<T>,
      .add_softmax_gradient = &AddSoftmaxGradient<T>,
      .add_sigmoid_gradient = &AddSigmoidGradient<T>,
      .add_to_sums = &AddToSums<T>,
  };
  return &kTable;
}

}  // namespace

const ScoreKernels<float>* FloatScoreTable() { return Table<float>(); }
const ScoreKernels<double>* DoubleScoreTable() { return Table<double>(); }

}  // namespace equipoise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace equipoise::cpu {

HWY_EXPORT(FloatScoreTable);
HWY_EXPORT(DoubleScoreTable);

template <>
const ScoreKernels<float>& ScoreKernels<float>::Get() {
  return *HWY_DYNAMIC_DISPATCH(FloatScoreTable)();
}
template <>
const ScoreKernels<double>& ScoreKernels<double>::Get() {
  return *HWY_DYNAMIC_DISPATCH(DoubleScoreTable)();
}

}  // namespace equipoise::cpu
#endif  // HWY_ONCE
