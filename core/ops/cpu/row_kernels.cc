#include "core/ops/cpu/row_kernels.h"

#include <cstring>

// Compiled once per instruction set: foreach_target.h includes this file again and again.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/cpu/row_kernels.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

// Only after foreach_target.h:
#include "core/base/vector_access-inl.h"
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace equipoise::cpu::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using DoubleTag = hn::ScalableTag<double>;
using DoubleVector = hn::Vec<DoubleTag>;

constexpr int64_t kPartialSums = 32;
constexpr int64_t kDoubleLanes = hn::MaxLanes(DoubleTag());
constexpr int64_t kSumVectors = kPartialSums / kDoubleLanes;

// As many elements as DoubleTag has lanes, widened where T is float.
template <class Access>
HWY_INLINE DoubleVector LoadWide(const Access& access, DoubleTag d, const float* from) {
  const hn::Rebind<float, DoubleTag> narrow;
  return hn::PromoteTo(d, access.Load(narrow, from));
}
template <class Access>
HWY_INLINE DoubleVector LoadWide(const Access& access, DoubleTag d, const double* from) {
  return access.Load(d, from);
}
template <class Access>
HWY_INLINE void StoreNarrow(const Access& access, DoubleTag, DoubleVector v, float* to) {
  const hn::Rebind<float, DoubleTag> narrow;
  access.Store(hn::DemoteTo(narrow, v), narrow, to);
}
template <class Access>
HWY_INLINE void StoreNarrow(const Access& access, DoubleTag d, DoubleVector v, double* to) {
  access.Store(v, d, to);
}

// --- Sums -------------------------------------------------------------------------------------

struct PartialSums {
  DoubleVector vectors[kSumVectors];
};

HWY_INLINE double Fold(const PartialSums& sums) {
  const DoubleTag d;
  HWY_ALIGN double lanes[kPartialSums];
  for (int64_t v = 0; v < kSumVectors; ++v) hn::Store(sums.vectors[v], d, lanes + v * kDoubleLanes);
  for (int64_t half = kPartialSums / 2; half > 0; half /= 2) {
    for (int64_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

template <typename T>
HWY_INLINE void AddBlock(const T* x, const T* y, PartialSums& sums) {
  const DoubleTag d;
  for (int64_t v = 0; v < kSumVectors; ++v) {
    const int64_t i = v * kDoubleLanes;
    sums.vectors[v] = hn::MulAdd(LoadWide(WholeVector(), d, x + i),
                                 LoadWide(WholeVector(), d, y + i), sums.vectors[v]);
  }
}

template <typename T>
HWY_INLINE void AddBlock(const T* x, const T* y, const T* z, PartialSums& sums) {
  const DoubleTag d;
  for (int64_t v = 0; v < kSumVectors; ++v) {
    const int64_t i = v * kDoubleLanes;
    const DoubleVector xy =
        hn::Mul(LoadWide(WholeVector(), d, x + i), LoadWide(WholeVector(), d, y + i));
    sums.vectors[v] = hn::MulAdd(xy, LoadWide(WholeVector(), d, z + i), sums.vectors[v]);
  }
}

// The last elements of a row, filled up with zeroes to a block.
template <typename T>
struct PaddedBlock {
  T values[kPartialSums] = {};
  PaddedBlock(const T* from, int64_t count) {
    std::memcpy(values, from, static_cast<size_t>(count) * sizeof(T));
  }
};

template <typename T, class... Rows>
HWY_INLINE double SumOfProducts(int64_t n, const Rows*... rows) {
  PartialSums sums;
  for (DoubleVector& vector : sums.vectors) vector = hn::Zero(DoubleTag());
  int64_t i = 0;
  for (; i + kPartialSums <= n; i += kPartialSums) AddBlock<T>(rows + i..., sums);
  if (i < n) AddBlock<T>(PaddedBlock<T>(rows + i, n - i).values..., sums);
  return Fold(sums);
}

template <typename T>
double Dot(const T* x, const T* y, int64_t n) {
  return SumOfProducts<T>(n, x, y);
}

template <typename T>
double Dot3(const T* x, const T* y, const T* z, int64_t n) {
  return SumOfProducts<T>(n, x, y, z);
}

// --- Element by element -----------------------------------------------------------------------

template <typename T>
void Axpy(T alpha, const T* x, T* y, int64_t n) {
  const hn::ScalableTag<T> d;
  const auto factor = hn::Set(d, alpha);
  ForEachVector(d, n, [&](const auto& access, int64_t i) HWY_ATTR {
    access.Store(hn::MulAdd(factor, access.Load(d, x + i), access.Load(d, y + i)), d, y + i);
  });
}

template <typename T>
void Scale(T alpha, const T* x, T* y, int64_t n) {
  const hn::ScalableTag<T> d;
  const auto factor = hn::Set(d, alpha);
  ForEachVector(d, n, [&](const auto& access, int64_t i) HWY_ATTR {
    access.Store(hn::Mul(factor, access.Load(d, x + i)), d, y + i);
  });
}

template <typename T>
void ScaleProduct(T alpha, const T* x, const T* w, T* y, int64_t n) {
  const hn::ScalableTag<T> d;
  const auto factor = hn::Set(d, alpha);
  ForEachVector(d, n, [&](const auto& access, int64_t i) HWY_ATTR {
    const auto scaled = hn::Mul(factor, access.Load(d, x + i));
    access.Store(hn::Mul(scaled, access.Load(d, w + i)), d, y + i);
  });
}

// x * 0 is zero for a finite x and NaN for the others, and NaN stays NaN in a sum.
template <typename T>
bool AllFinite(const T* x, int64_t n) {
  const hn::ScalableTag<T> d;
  auto sum = hn::Zero(d);
  ForEachVector(d, n, [&](const auto& access, int64_t i) HWY_ATTR {
    sum = hn::MulAdd(access.Load(d, x + i), hn::Zero(d), sum);
  });
  return hn::AllTrue(d, hn::Eq(sum, hn::Zero(d)));
}

// 1 / (1 + exp(-z)) by the exponential of a number that is never positive: nothing overflows.
template <class D>
HWY_INLINE hn::Vec<D> Sigmoid(D d, hn::Vec<D> z) {
  const auto one = hn::Set(d, hn::TFromD<D>{1});
  const auto e = hn::Exp(d, hn::Neg(hn::Abs(z)));
  const auto numerator = hn::IfThenElse(hn::Ge(z, hn::Zero(d)), one, e);
  return hn::Div(numerator, hn::Add(one, e));
}

template <typename T>
void SiluProduct(const T* gate, const T* up, T* y, int64_t n) {
  const hn::ScalableTag<T> d;
  ForEachVector(d, n, [&](const auto& access, int64_t i) HWY_ATTR {
    const auto z = access.Load(d, gate + i);
    const auto silu = hn::Mul(z, Sigmoid(d, z));
    access.Store(hn::Mul(silu, access.Load(d, up + i)), d, y + i);
  });
}

// silu'(z) = s (1 + z (1 - s)) with s = sigmoid(z).
template <typename T>
void SiluProductBackward(const T* gate, const T* up, const T* dy, T* dgate, T* dup, int64_t n) {
  const hn::ScalableTag<T> d;
  const auto one = hn::Set(d, T{1});
  ForEachVector(d, n, [&](const auto& access, int64_t i) HWY_ATTR {
    const auto z = access.Load(d, gate + i);
    const auto gradient = access.Load(d, dy + i);
    const auto through_gate = hn::Mul(gradient, access.Load(d, up + i));
    const auto s = Sigmoid(d, z);
    const auto slope = hn::Mul(s, hn::MulAdd(z, hn::Sub(one, s), one));
    access.Store(hn::Mul(through_gate, slope), d, dgate + i);
    access.Store(hn::Mul(gradient, hn::Mul(z, s)), d, dup + i);
  });
}

template <typename T>
void RmsNormBackward(const RmsNormBackwardRow<T>& row, int64_t n) {
  const DoubleTag d;
  const auto inverse_rms = hn::Set(d, row.inverse_rms);
  const auto projection = hn::Set(d, row.projection);
  ForEachVector(d, n, [&](const auto& access, int64_t i) HWY_ATTR {
    const auto x = LoadWide(access, d, row.x + i);
    const auto scaled = hn::Mul(inverse_rms, LoadWide(access, d, row.dy + i));
    const auto dweight = access.Load(d, row.dweight + i);
    access.Store(hn::MulAdd(scaled, x, dweight), d, row.dweight + i);
    const auto direct = hn::Mul(scaled, LoadWide(access, d, row.weight + i));
    auto dx = hn::NegMulAdd(projection, x, direct);
    if (row.accumulate_dx) dx = hn::Add(dx, LoadWide(access, d, row.dx + i));
    StoreNarrow(access, d, dx, row.dx + i);
  });
}

template <typename T>
const RowKernels<T>* Table() {
  static constexpr RowKernels<T> kTable = {
      .dot = &Dot<T>,
      .dot3 = &Dot3<T>,
      .axpy = &Axpy<T>,
      .scale = &Scale<T>,
      .scale_product = &ScaleProduct<T>,
      .all_finite = &AllFinite<T>,
      .silu_product = &SiluProduct<T>,
      .silu_product_backward = &SiluProductBackward<T>,
      .rms_norm_backward = &RmsNormBackward<T>,
  };
  return &kTable;
}

}  // namespace

const RowKernels<float>* FloatTable() { return Table<float>(); }
const RowKernels<double>* DoubleTable() { return Table<double>(); }

}  // namespace equipoise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace equipoise::cpu {

HWY_EXPORT(FloatTable);
HWY_EXPORT(DoubleTable);

template <>
const RowKernels<float>& RowKernels<float>::Get() {
  return *HWY_DYNAMIC_DISPATCH(FloatTable)();
}
template <>
const RowKernels<double>& RowKernels<double>::Get() {
  return *HWY_DYNAMIC_DISPATCH(DoubleTable)();
}

}  // namespace equipoise::cpu
#endif  // HWY_ONCE
