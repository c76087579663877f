#include "routing/cpu/norm_silu_rows.h"

#include <cmath>

#include "hwy/highway.h"
// Needs highway.h first.
#include "hwy/contrib/math/math-inl.h"

// Compiled once, for the instruction set of the build, as score_rows.cc is.
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

// Two passes: the variance of what is left when the mean is gone loses no digits.
template <typename T>
RowNorm<T> NormOf(const T* x, int64_t n, double epsilon) {
  const hn::ScalableTag<T> d;
  auto sums = hn::Zero(d);
  ForEachVector(
      d, n, [&](int64_t i, auto mask) { sums = hn::Add(sums, hn::MaskedLoad(mask, d, x + i)); });
  const T mean = hn::GetLane(hn::SumOfLanes(d, sums)) / static_cast<T>(n);
  const auto shift = hn::Set(d, mean);
  auto squares = hn::Zero(d);
  ForEachVector(d, n, [&](int64_t i, auto mask) {
    const auto distance = hn::IfThenElseZero(mask, hn::Sub(hn::MaskedLoad(mask, d, x + i), shift));
    squares = hn::MulAdd(distance, distance, squares);
  });
  const T variance = hn::GetLane(hn::SumOfLanes(d, squares)) / static_cast<T>(n);
  return {mean, T{1} / std::sqrt(variance + static_cast<T>(epsilon))};
}

}  // namespace

template <typename T>
RowNorm<T> NormSiluRow(const NormParameters<T>& parameters, const T* x, T* a, T* slopes) {
  const RowNorm<T> norm = NormOf(x, parameters.n, parameters.epsilon);
  const hn::ScalableTag<T> d;
  const auto one = hn::Set(d, T{1});
  const auto mean = hn::Set(d, norm.mean);
  const auto scale = hn::Set(d, norm.inverse_deviation);
  ForEachVector(d, parameters.n, [&](int64_t i, auto mask) {
    const auto xhat = hn::Mul(hn::Sub(hn::MaskedLoad(mask, d, x + i), mean), scale);
    const auto u = hn::MulAdd(hn::MaskedLoad(mask, d, parameters.gain + i), xhat,
                              hn::MaskedLoad(mask, d, parameters.bias + i));
    // Of the magnitude, so that nothing overflows; u - u shows what is not a number.
    const auto z = hn::Add(hn::Exp(d, hn::Neg(hn::Abs(u))), hn::Sub(u, u));
    const auto numerator = hn::IfThenElse(hn::Ge(u, hn::Zero(d)), one, z);
    const auto sigma = hn::Div(numerator, hn::Add(one, z));
    hn::BlendedStore(hn::Mul(u, sigma), mask, d, a + i);
    if (slopes == nullptr) return;
    const auto slope = hn::Mul(sigma, hn::MulAdd(u, hn::Sub(one, sigma), one));
    hn::BlendedStore(slope, mask, d, slopes + i);
  });
  return norm;
}

template <typename T>
void NormSiluBackwardRow(const NormParameters<T>& parameters, const RowNorm<T>& norm, const T* x,
                         const T* slopes, T* da, T* dx, T* dgain, T* dbias) {
  const hn::ScalableTag<T> d;
  const auto mean = hn::Set(d, norm.mean);
  const auto scale = hn::Set(d, norm.inverse_deviation);
  auto sum = hn::Zero(d);
  auto projection = hn::Zero(d);
  ForEachVector(d, parameters.n, [&](int64_t i, auto mask) {
    const auto du = hn::Mul(hn::MaskedLoad(mask, d, da + i), hn::MaskedLoad(mask, d, slopes + i));
    const auto xhat = hn::Mul(hn::Sub(hn::MaskedLoad(mask, d, x + i), mean), scale);
    hn::BlendedStore(hn::MulAdd(du, xhat, hn::MaskedLoad(mask, d, dgain + i)), mask, d, dgain + i);
    hn::BlendedStore(hn::Add(du, hn::MaskedLoad(mask, d, dbias + i)), mask, d, dbias + i);
    const auto dxhat = hn::Mul(du, hn::MaskedLoad(mask, d, parameters.gain + i));
    hn::BlendedStore(dxhat, mask, d, da + i);
    sum = hn::Add(sum, dxhat);
    projection = hn::MulAdd(dxhat, xhat, projection);
  });
  const T per_element = T{1} / static_cast<T>(parameters.n);
  const auto shift = hn::Set(d, hn::GetLane(hn::SumOfLanes(d, sum)) * per_element);
  const auto slope = hn::Set(d, hn::GetLane(hn::SumOfLanes(d, projection)) * per_element);
  ForEachVector(d, parameters.n, [&](int64_t i, auto mask) {
    const auto xhat = hn::Mul(hn::Sub(hn::MaskedLoad(mask, d, x + i), mean), scale);
    const auto rest = hn::NegMulAdd(xhat, slope, hn::Sub(hn::MaskedLoad(mask, d, da + i), shift));
    hn::BlendedStore(hn::MulAdd(rest, scale, hn::MaskedLoad(mask, d, dx + i)), mask, d, dx + i);
  });
}

#define EQ_INSTANTIATE(T)                                                                     \
  template RowNorm<T> NormSiluRow<T>(const NormParameters<T>&, const T*, T*, T*);             \
  template void NormSiluBackwardRow<T>(const NormParameters<T>&, const RowNorm<T>&, const T*, \
                                       const T*, T*, T*, T*, T*)
EQ_INSTANTIATE(float);
EQ_INSTANTIATE(double);
#undef EQ_INSTANTIATE

}  // namespace equipoise::cpu
HWY_AFTER_NAMESPACE();
