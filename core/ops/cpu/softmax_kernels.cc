#include "core/ops/cpu/softmax_kernels.h"

#include <algorithm>
#include <cstring>
#include <limits>

// Compiled once per instruction set: foreach_target.h includes this file again and again.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/cpu/softmax_kernels.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// After foreach_target.h:
#include "core/base/vector_access-inl.h"
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace equipoise::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Sums run over this many interleaved partial sums in T ...
constexpr int64_t kPartialSums = 16;
// ... which are folded into a double after this many elements: rounding grows with the segment, not
// with the length of the row.
constexpr int64_t kSegment = 1024;
static_assert(kSegment % kPartialSums == 0);

// exp(x), but NaN where x is NaN or infinite (Highway's own gives 0 for NaN).
template <class D, class V>
HWY_INLINE V ExpOfFinite(D d, V x) {
  return hn::Add(hn::Exp(d, x), hn::Sub(x, x));
}

template <typename T>
T Max(const T* x, int64_t n) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  T best = -std::numeric_limits<T>::infinity();
  int64_t i = 0;
  if (n >= lanes) {
    auto vector = hn::LoadU(d, x);
    for (i = lanes; i + lanes <= n; i += lanes) vector = hn::Max(vector, hn::LoadU(d, x + i));
    best = hn::GetLane(hn::MaxOfLanes(d, vector));
  }
  for (; i < n; ++i) best = std::max(best, x[i]);
  return best;
}

template <typename T>
class PartialSums {
 public:
  HWY_INLINE PartialSums() {
    for (auto& sum : sums_) sum = hn::Zero(Tag());
  }
  // Takes kPartialSums elements through exp(x - shift), in place.
  HWY_INLINE void ExpBlock(T shift, T* x) {
    const Tag d;
    for (int64_t v = 0; v < kVectors; ++v) {
      T* at = x + v * kLanes;
      const auto value = ExpOfFinite(d, hn::Sub(hn::LoadU(d, at), hn::Set(d, shift)));
      hn::StoreU(value, d, at);
      sums_[v] = hn::Add(sums_[v], value);
    }
  }
  HWY_INLINE double Fold() const {
    HWY_ALIGN T lanes[kPartialSums];
    for (int64_t v = 0; v < kVectors; ++v) hn::Store(sums_[v], Tag(), lanes + v * kLanes);
    for (int64_t half = kPartialSums / 2; half > 0; half /= 2) {
      for (int64_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
    }
    return static_cast<double>(lanes[0]);
  }

 private:
  using Tag = hn::ScalableTag<T>;
  static constexpr int64_t kLanes = hn::MaxLanes(Tag());
  static constexpr int64_t kVectors = kPartialSums / kLanes;
  hn::Vec<Tag> sums_[kVectors];
};

// The end of a row, shorter than a block.
template <typename T>
HWY_INLINE double ExpAndSumOfRest(T shift, T* x, int64_t n) {
  T block[kPartialSums];
  std::fill(block, block + kPartialSums, shift);
  std::memcpy(block, x, static_cast<size_t>(n) * sizeof(T));
  PartialSums<T> unused;
  unused.ExpBlock(shift, block);
  std::memcpy(x, block, static_cast<size_t>(n) * sizeof(T));
  double sum = 0.0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(block[i]);
  return sum;
}

template <typename T>
double ExpAndSum(T shift, T* x, int64_t n) {
  const int64_t whole = n / kPartialSums * kPartialSums;
  double total = 0.0;
  for (int64_t begin = 0; begin < whole; begin += kSegment) {
    PartialSums<T> sums;
    const int64_t end = std::min(begin + kSegment, whole);
    for (int64_t i = begin; i < end; i += kPartialSums) sums.ExpBlock(shift, x + i);
    total += sums.Fold();
  }
  if (whole < n) total += ExpAndSumOfRest(shift, x + whole, n - whole);
  return total;
}

template <typename T>
void Backward(T log_sum_exp, T delta, T* scores, T* dp, int64_t n) {
  const hn::ScalableTag<T> d;
  const auto shift = hn::Set(d, log_sum_exp);
  const auto mean = hn::Set(d, delta);
  ForEachVector(d, n, [&](const auto& access, int64_t i) HWY_ATTR {
    const auto p = ExpOfFinite(d, hn::Sub(access.Load(d, scores + i), shift));
    const auto gradient = hn::Mul(p, hn::Sub(access.Load(d, dp + i), mean));
    access.Store(p, d, scores + i);
    access.Store(gradient, d, dp + i);
  });
}

template <typename T>
const SoftmaxKernels<T>* SoftmaxTable() {
  static constexpr SoftmaxKernels<T> kTable = {
      .max = &Max<T>,
      .exp_and_sum = &ExpAndSum<T>,
      .backward = &Backward<T>,
  };
  return &kTable;
}

const SoftmaxKernels<float>* SoftmaxTableF32() { return SoftmaxTable<float>(); }
const SoftmaxKernels<double>* SoftmaxTableF64() { return SoftmaxTable<double>(); }

}  // namespace equipoise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace equipoise::cpu {

HWY_EXPORT(SoftmaxTableF32);
HWY_EXPORT(SoftmaxTableF64);

template <>
const SoftmaxKernels<float>& SoftmaxKernels<float>::Get() {
  return *HWY_DYNAMIC_DISPATCH(SoftmaxTableF32)();
}
template <>
const SoftmaxKernels<double>& SoftmaxKernels<double>::Get() {
  return *HWY_DYNAMIC_DISPATCH(SoftmaxTableF64)();
}

}  // namespace equipoise::cpu
#endif  // HWY_ONCE
