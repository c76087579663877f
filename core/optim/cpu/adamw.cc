#include "core/optim/cpu/adamw.h"

// Compiled once per instruction set: foreach_target.h includes this file again and again.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/optim/cpu/adamw.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

// Only after foreach_target.h:
#include "core/base/vector_access-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace equipoise::cpu::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

template <typename T>
HWY_INLINE void Update(const AdamWFactors<T>& factors, const AdamWArrays<T>& arrays, int64_t n) {
  const hn::ScalableTag<T> d;
  const auto gradient_scale = hn::Set(d, factors.gradient_scale);
  const auto shrink = hn::Set(d, factors.shrink);
  const auto one_minus_beta1 = hn::Set(d, factors.one_minus_beta1);
  const auto beta2 = hn::Set(d, factors.beta2);
  const auto one_minus_beta2 = hn::Set(d, factors.one_minus_beta2);
  const auto norm = hn::Set(d, factors.second_moment_norm);
  const auto epsilon = hn::Set(d, factors.epsilon);
  const auto step_size = hn::Set(d, factors.step_size);
  ForEachVector(d, n, [&](const auto& access, int64_t i) HWY_ATTR {
    const auto g = hn::Mul(gradient_scale, access.Load(d, arrays.gradient + i));
    auto m = access.Load(d, arrays.first_moment + i);
    m = hn::MulAdd(one_minus_beta1, hn::Sub(g, m), m);
    auto v = access.Load(d, arrays.second_moment + i);
    v = hn::MulAdd(hn::Mul(one_minus_beta2, g), g, hn::Mul(beta2, v));
    const auto divisor = hn::Add(hn::Div(hn::Sqrt(v), norm), epsilon);
    const auto p = hn::Mul(shrink, access.Load(d, arrays.parameter + i));
    access.Store(hn::NegMulAdd(step_size, hn::Div(m, divisor), p), d, arrays.parameter + i);
    access.Store(m, d, arrays.first_moment + i);
    access.Store(v, d, arrays.second_moment + i);
  });
}

}  // namespace

void UpdateFloat(const AdamWFactors<float>& factors, const AdamWArrays<float>& arrays, int64_t n) {
  Update(factors, arrays, n);
}
void UpdateDouble(const AdamWFactors<double>& factors, const AdamWArrays<double>& arrays,
                  int64_t n) {
  Update(factors, arrays, n);
}

}  // namespace equipoise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace equipoise::cpu {

HWY_EXPORT(UpdateFloat);
HWY_EXPORT(UpdateDouble);

void AdamWKernel(const AdamWFactors<float>& factors, const AdamWArrays<float>& arrays, int64_t n) {
  HWY_DYNAMIC_DISPATCH(UpdateFloat)(factors, arrays, n);
}
void AdamWKernel(const AdamWFactors<double>& factors, const AdamWArrays<double>& arrays,
                 int64_t n) {
  HWY_DYNAMIC_DISPATCH(UpdateDouble)(factors, arrays, n);
}

}  // namespace equipoise::cpu
#endif  // HWY_ONCE
