#include "routing/cpu/norm_silu_rows.h"

#include <cmath>

// Compiled once per instruction set: foreach_target.h includes this file again and again.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "routing/cpu/norm_silu_rows.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

// Only after foreach_target.h:
#include "core/base/vector_access-inl.h"
#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "routing/cpu/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace equipoise::cpu::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Sums over a row, several at a time, or each addition would wait for the one before.
template <class V>
struct Sums {
  static constexpr int64_t kCount = 4;
  V of[kCount];
};

// Calls body(access, i, sum) for each vector of a row, with one of the sums after the other.
template <class D, class V, class Body>
HWY_INLINE void ForEachVectorInTurn(D d, int64_t n, Sums<V>& sums, const Body& body) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (V& sum : sums.of) sum = hn::Zero(d);
  int64_t i = 0;
  for (; i + Sums<V>::kCount * lanes <= n; i += Sums<V>::kCount * lanes) {
    for (int64_t s = 0; s < Sums<V>::kCount; ++s) body(WholeVector(), i + s * lanes, sums.of[s]);
  }
  for (; i + lanes <= n; i += lanes) body(WholeVector(), i, sums.of[0]);
  if (i < n) body(PartOfVector{static_cast<size_t>(n - i)}, i, sums.of[0]);
}

template <class D, class V>
HWY_INLINE hn::TFromD<D> Total(D d, const Sums<V>& sums) {
  return hn::GetLane(
      hn::SumOfLanes(d, hn::Add(hn::Add(sums.of[0], sums.of[1]), hn::Add(sums.of[2], sums.of[3]))));
}

// Of lanes that a partial vector does not have: zero.
template <class D, class V>
HWY_INLINE V OnlyLanes(D, const WholeVector&, V v) {
  return v;
}
template <class D, class V>
HWY_INLINE V OnlyLanes(D d, const PartOfVector& part, V v) {
  return hn::IfThenElseZero(hn::FirstN(d, part.count), v);
}

// Two passes: the variance of what is left when the mean is gone loses no digits.
template <typename T>
HWY_INLINE RowNorm<T> NormOf(const T* x, int64_t n, double epsilon) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  Sums<V> sums;
  ForEachVectorInTurn(d, n, sums, [&](const auto& access, int64_t i, V& sum) HWY_ATTR {
    sum = hn::Add(sum, access.Load(d, x + i));
  });
  const T mean = Total(d, sums) / static_cast<T>(n);
  const auto shift = hn::Set(d, mean);
  Sums<V> squares;
  ForEachVectorInTurn(d, n, squares, [&](const auto& access, int64_t i, V& sum) HWY_ATTR {
    const auto distance = OnlyLanes(d, access, hn::Sub(access.Load(d, x + i), shift));
    sum = hn::MulAdd(distance, distance, sum);
  });
  const T variance = Total(d, squares) / static_cast<T>(n);
  return {mean, T{1} / std::sqrt(variance + static_cast<T>(epsilon))};
}

template <bool kWithSlopes, typename T>
HWY_INLINE RowNorm<T> Row(const NormParameters<T>& parameters, const T* x, T* a, T* slopes) {
  const RowNorm<T> norm = NormOf(x, parameters.n, parameters.epsilon);
  const hn::ScalableTag<T> d;
  const auto one = hn::Set(d, T{1});
  const auto scale = hn::Set(d, norm.inverse_deviation);
  const auto shift = hn::Set(d, -norm.mean * norm.inverse_deviation);
  ForEachVector(d, parameters.n, [&](const auto& access, int64_t i) HWY_ATTR {
    // The processor fetches ahead within a page only, and a row may be all of one.
    hwy::Prefetch(x + parameters.n + i);
    const auto xhat = hn::MulAdd(access.Load(d, x + i), scale, shift);
    const auto u =
        hn::MulAdd(access.Load(d, parameters.gain + i), xhat, access.Load(d, parameters.bias + i));
    const auto sigma = hn::Div(one, hn::Add(one, FastExpOfNegative(d, u)));
    const auto silu = hn::Mul(u, sigma);
    access.Store(silu, d, a + i);
    // sigma (1 + u (1 - sigma)).
    if (kWithSlopes) access.Store(hn::MulAdd(silu, hn::Sub(one, sigma), sigma), d, slopes + i);
  });
  return norm;
}

template <typename T>
void Forward(const NormParameters<T>& parameters, const T* x, int64_t rows, T* a) {
  for (int64_t row = 0; row < rows; ++row, x += parameters.n, a += parameters.n) {
    Row<false, T>(parameters, x, a, nullptr);
  }
}

template <typename T>
void ForwardWithSlopes(const NormParameters<T>& parameters, const T* x, int64_t rows, T* a,
                       T* slopes, RowNorm<T>* norms) {
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t offset = row * parameters.n;
    norms[row] = Row<true, T>(parameters, x + offset, a + offset, slopes + offset);
  }
}

// Rows whose shares of dgain and dbias are added up before those are read and written.
constexpr int64_t kRowsTogether = 2;

// The sums over a row that its dx needs.
template <class V>
struct RowSums {
  V dxhat, projection;
};

// dgain, dbias; da becomes the gradient of xhat.
template <int64_t kRows, typename T, class V>
HWY_INLINE void ParameterGradients(const NormParameters<T>& parameters,
                                   const NormSiluBackward<T>& arrays, int64_t first,
                                   RowSums<V>* sums) {
  const hn::ScalableTag<T> d;
  const int64_t n = parameters.n;
  V shift[kRows], scale[kRows];
  for (int64_t r = 0; r < kRows; ++r) {
    const RowNorm<T> norm = arrays.norms[first + r];
    scale[r] = hn::Set(d, norm.inverse_deviation);
    shift[r] = hn::Set(d, -norm.mean * norm.inverse_deviation);
    sums[r] = {hn::Zero(d), hn::Zero(d)};
  }
  ForEachVector(d, n, [&](const auto& access, int64_t i) HWY_ATTR {
    auto dgain = access.Load(d, arrays.dgain + i);
    auto dbias = access.Load(d, arrays.dbias + i);
    const auto gain = access.Load(d, parameters.gain + i);
    for (int64_t r = 0; r < kRows; ++r) {
      const int64_t at = (first + r) * n + i;
      hwy::Prefetch(arrays.dx + at);
      const auto du = hn::Mul(access.Load(d, arrays.da + at), access.Load(d, arrays.slopes + at));
      const auto xhat = hn::MulAdd(access.Load(d, arrays.x + at), scale[r], shift[r]);
      dgain = hn::MulAdd(du, xhat, dgain);
      dbias = hn::Add(dbias, du);
      const auto dxhat = hn::Mul(du, gain);
      access.Store(dxhat, d, arrays.da + at);
      sums[r].dxhat = hn::Add(sums[r].dxhat, dxhat);
      sums[r].projection = hn::MulAdd(dxhat, xhat, sums[r].projection);
    }
    access.Store(dgain, d, arrays.dgain + i);
    access.Store(dbias, d, arrays.dbias + i);
  });
}

// dx += (dxhat - mean(dxhat) - xhat mean(dxhat xhat)) / deviation.
template <typename T, class V>
HWY_INLINE void InputGradient(const NormParameters<T>& parameters,
                              const NormSiluBackward<T>& arrays, int64_t row,
                              const RowSums<V>& sums) {
  const hn::ScalableTag<T> d;
  const RowNorm<T> norm = arrays.norms[row];
  const T per_element = T{1} / static_cast<T>(parameters.n);
  const T shift = hn::GetLane(hn::SumOfLanes(d, sums.dxhat)) * per_element;
  const T slope = hn::GetLane(hn::SumOfLanes(d, sums.projection)) * per_element;
  // scale (dxhat - shift - (x - mean) scale slope), as scale dxhat + (along x + constant).
  const T along = -norm.inverse_deviation * norm.inverse_deviation * slope;
  const auto scale = hn::Set(d, norm.inverse_deviation);
  const auto x_factor = hn::Set(d, along);
  const auto constant = hn::Set(d, -norm.inverse_deviation * shift - along * norm.mean);
  const int64_t begin = row * parameters.n;
  ForEachVector(d, parameters.n, [&](const auto& access, int64_t i) HWY_ATTR {
    const auto linear = hn::MulAdd(access.Load(d, arrays.x + begin + i), x_factor, constant);
    const auto change = hn::MulAdd(access.Load(d, arrays.da + begin + i), scale, linear);
    access.Store(hn::Add(access.Load(d, arrays.dx + begin + i), change), d, arrays.dx + begin + i);
  });
}

template <int64_t kRows, typename T>
HWY_INLINE void BackwardTogether(const NormParameters<T>& parameters,
                                 const NormSiluBackward<T>& arrays, int64_t first) {
  RowSums<hn::Vec<hn::ScalableTag<T>>> sums[kRows];
  ParameterGradients<kRows, T>(parameters, arrays, first, sums);
  for (int64_t r = 0; r < kRows; ++r) InputGradient(parameters, arrays, first + r, sums[r]);
}

template <typename T>
void Backward(const NormParameters<T>& parameters, const NormSiluBackward<T>& arrays,
              int64_t rows) {
  int64_t row = 0;
  for (; row + kRowsTogether <= rows; row += kRowsTogether) {
    BackwardTogether<kRowsTogether, T>(parameters, arrays, row);
  }
  for (; row < rows; ++row) BackwardTogether<1, T>(parameters, arrays, row);
}

}  // namespace

#define EQ_DEFINE(T)                                                                              \
  void NormSiluForward_##T(const NormParameters<T>& parameters, const T* x, int64_t rows, T* a) { \
    Forward<T>(parameters, x, rows, a);                                                           \
  }                                                                                               \
  void NormSiluForwardWithSlopes_##T(const NormParameters<T>& parameters, const T* x,             \
                                     int64_t rows, T* a, T* slopes, RowNorm<T>* norms) {          \
    ForwardWithSlopes<T>(parameters, x, rows, a, slopes, norms);                                  \
  }                                                                                               \
  void NormSiluBackward_##T(const NormParameters<T>& parameters,                                  \
                            const NormSiluBackward<T>& arrays, int64_t rows) {                    \
    Backward<T>(parameters, arrays, rows);                                                        \
  }
EQ_DEFINE(float)
EQ_DEFINE(double)
#undef EQ_DEFINE

}  // namespace equipoise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace equipoise::cpu {

#define EQ_DISPATCH(T)                                                                            \
  HWY_EXPORT(NormSiluForward_##T);                                                                \
  HWY_EXPORT(NormSiluForwardWithSlopes_##T);                                                      \
  HWY_EXPORT(NormSiluBackward_##T);                                                               \
  template <>                                                                                     \
  void NormSiluRows<T>(const NormParameters<T>& parameters, const T* x, int64_t rows, T* a) {     \
    HWY_DYNAMIC_DISPATCH(NormSiluForward_##T)(parameters, x, rows, a);                            \
  }                                                                                               \
  template <>                                                                                     \
  void NormSiluSlopesRows<T>(const NormParameters<T>& parameters, const T* x, int64_t rows, T* a, \
                             T* slopes, RowNorm<T>* norms) {                                      \
    HWY_DYNAMIC_DISPATCH(NormSiluForwardWithSlopes_##T)(parameters, x, rows, a, slopes, norms);   \
  }                                                                                               \
  template <>                                                                                     \
  void NormSiluBackwardRows<T>(const NormParameters<T>& parameters,                               \
                               const NormSiluBackward<T>& arrays, int64_t rows) {                 \
    HWY_DYNAMIC_DISPATCH(NormSiluBackward_##T)(parameters, arrays, rows);                         \
  }
EQ_DISPATCH(float)
EQ_DISPATCH(double)
#undef EQ_DISPATCH

}  // namespace equipoise::cpu
#endif  // HWY_ONCE
