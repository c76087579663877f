#include "routing/cpu/normal_draws.h"

#include <numbers>

// Compiled once per instruction set: foreach_target.h includes this file again and again.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "routing/cpu/normal_draws.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

// Only after foreach_target.h:
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace equipoise::cpu::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

constexpr float kAngle = static_cast<float>(2.0 * std::numbers::pi * 0x1p-32);

}  // namespace

void NormalDrawsOf(const uint32_t* words, int64_t pairs, float* draws) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::RebindToUnsigned<decltype(d)> du;
  constexpr int64_t kLanes = hn::MaxLanes(d);
  HWY_ALIGN uint32_t first[kLanes];
  HWY_ALIGN uint32_t second[kLanes];
  HWY_ALIGN float cosines[kLanes];
  HWY_ALIGN float sines[kLanes];
  for (int64_t begin = 0; begin < pairs; begin += kLanes) {
    const int64_t count = pairs - begin < kLanes ? pairs - begin : kLanes;
    for (int64_t i = 0; i < kLanes; ++i) {
      const bool real = i < count;
      first[i] = real ? words[2 * (begin + i)] : 0;
      second[i] = real ? words[2 * (begin + i) + 1] : 0;
    }
    // In (0, 1]: the logarithm is finite. Half a word, because integers that convert are signed.
    const auto half = hn::BitCast(di, hn::ShiftRight<1>(hn::Load(du, first)));
    const auto uniform =
        hn::Mul(hn::Add(hn::ConvertTo(d, half), hn::Set(d, 0.5f)), hn::Set(d, 0x1p-31f));
    const auto radius = hn::Sqrt(hn::Mul(hn::Set(d, -2.0f), hn::Log(d, uniform)));
    const auto turn = hn::ConvertTo(d, hn::BitCast(di, hn::Load(du, second)));
    const auto angle = hn::Mul(turn, hn::Set(d, kAngle));
    hn::Store(hn::Mul(radius, hn::Cos(d, angle)), d, cosines);
    hn::Store(hn::Mul(radius, hn::Sin(d, angle)), d, sines);
    for (int64_t i = 0; i < count; ++i) {
      draws[2 * (begin + i)] = cosines[i];
      draws[2 * (begin + i) + 1] = sines[i];
    }
  }
}

}  // namespace equipoise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace equipoise::cpu {

HWY_EXPORT(NormalDrawsOf);

void NormalDraws(const uint32_t* words, int64_t pairs, float* draws) {
  HWY_DYNAMIC_DISPATCH(NormalDrawsOf)(words, pairs, draws);
}

}  // namespace equipoise::cpu
#endif  // HWY_ONCE
