// The exponential for Highway code that is compiled once per instruction set: include after
// foreach_target.h and highway.h, as Highway's own -inl.h files are. Not a normal header: the guard
// below lets it be read again for each instruction set.

#include <cstdint>

#if defined(EQUIPOISE_ROUTING_CPU_EXP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EQUIPOISE_ROUTING_CPU_EXP_INL_H_
#undef EQUIPOISE_ROUTING_CPU_EXP_INL_H_
#else
#define EQUIPOISE_ROUTING_CPU_EXP_INL_H_
#endif

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace equipoise::cpu::HWY_NAMESPACE {

// exp(sign * x) of doubles: Highway's, which knows no result above 1e304.
template <int kSign, class D, class V>
HWY_INLINE V ExpOf(D d, V x, double) {
  namespace hn = hwy::HWY_NAMESPACE;
  return hn::Exp(d, hn::Min(kSign > 0 ? x : hn::Neg(x), hn::Set(d, 700.0)));
}

// Of floats: 2^n 2^f, |f| <= 1/2, the second by the polynomial of Cephes' exp2f. Half the
// operations of Highway's, because x log2(e) is rounded: relative error below (2 + |x|) 2^-23,
// which is for sums that larger terms dominate. From 0 to infinity where the exponent leaves its
// range; what lies below the smallest normal number keeps no digits.
template <int kSign, class D, class V>
HWY_INLINE V ExpOf(D d, V x, float) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::RebindToSigned<D> di;
  // Adding it rounds to an integer, which then stands in the lowest bits.
  const auto magic = hn::Set(d, 0x1.8p23f);
  const auto y =
      hn::Max(hn::Set(d, -127.0f),
              hn::Min(hn::Set(d, 128.0f), hn::Mul(hn::Set(d, kSign * 1.44269504088896341f), x)));
  const auto shifted = hn::Add(y, magic);
  const auto f = hn::Sub(y, hn::Sub(shifted, magic));
  auto p = hn::Set(d, 1.3264727607931186e-3f);
  p = hn::MulAdd(p, f, hn::Set(d, 9.671513158520472e-3f));
  p = hn::MulAdd(p, f, hn::Set(d, 5.550733747025363e-2f));
  p = hn::MulAdd(p, f, hn::Set(d, 2.402224207739827e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 6.931469775941859e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 1.0f));
  const auto exponent = hn::ShiftLeft<23>(hn::BitCast(di, shifted));
  return hn::BitCast(d, hn::Add(hn::BitCast(di, p), exponent));
}

// exp(x) and exp(-x). x may be infinite; of what is not a number the result is any.
template <class D, class V>
HWY_INLINE V FastExp(D d, V x) {
  return ExpOf<1>(d, x, hwy::HWY_NAMESPACE::TFromD<D>());
}
template <class D, class V>
HWY_INLINE V FastExpOfNegative(D d, V x) {
  return ExpOf<-1>(d, x, hwy::HWY_NAMESPACE::TFromD<D>());
}

}  // namespace equipoise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // EQUIPOISE_ROUTING_CPU_EXP_INL_H_
