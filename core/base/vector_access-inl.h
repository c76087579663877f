// Loops over runs of any length for Highway code that is compiled once per instruction set: include
// after foreach_target.h and highway.h, as Highway's own -inl.h files are. Not a normal header: the
// guard below lets it be read again for each instruction set.

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(EQUIPOISE_CORE_BASE_VECTOR_ACCESS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef EQUIPOISE_CORE_BASE_VECTOR_ACCESS_INL_H_
#undef EQUIPOISE_CORE_BASE_VECTOR_ACCESS_INL_H_
#else
#define EQUIPOISE_CORE_BASE_VECTOR_ACCESS_INL_H_
#endif

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace equipoise::cpu::HWY_NAMESPACE {

// A whole vector of memory.
struct WholeVector {
  template <class D, typename T = hwy::HWY_NAMESPACE::TFromD<D>>
  HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> Load(D d, const T* from) const {
    return hwy::HWY_NAMESPACE::LoadU(d, from);
  }
  template <class D, typename T = hwy::HWY_NAMESPACE::TFromD<D>>
  HWY_INLINE void Store(hwy::HWY_NAMESPACE::Vec<D> v, D d, T* to) const {
    hwy::HWY_NAMESPACE::StoreU(v, d, to);
  }
};

// The first `count` lanes of a vector: the others load as zero and are not stored. Goes through the
// stack, so that no instruction touches memory beyond the run (sanitizers see what is true).
struct PartOfVector {
  size_t count;

  template <class D, typename T = hwy::HWY_NAMESPACE::TFromD<D>>
  HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> Load(D d, const T* from) const {
    HWY_ALIGN T lanes[hwy::HWY_NAMESPACE::MaxLanes(D())] = {};
    std::memcpy(lanes, from, count * sizeof(T));
    return hwy::HWY_NAMESPACE::Load(d, lanes);
  }
  template <class D, typename T = hwy::HWY_NAMESPACE::TFromD<D>>
  HWY_INLINE void Store(hwy::HWY_NAMESPACE::Vec<D> v, D d, T* to) const {
    HWY_ALIGN T lanes[hwy::HWY_NAMESPACE::MaxLanes(D())];
    hwy::HWY_NAMESPACE::Store(v, d, lanes);
    std::memcpy(to, lanes, count * sizeof(T));
  }
};

// Calls body(access, i) for i = 0, Lanes(d), 2 Lanes(d), ... < n, where `access` loads and stores
// the lanes that exist. Give a lambda as body the attribute HWY_ATTR.
template <class D, class Body>
HWY_INLINE void ForEachVector(D d, int64_t n, const Body& body) {
  const int64_t lanes = static_cast<int64_t>(hwy::HWY_NAMESPACE::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) body(WholeVector(), i);
  if (i < n) body(PartOfVector{static_cast<size_t>(n - i)}, i);
}

}  // namespace equipoise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // EQUIPOISE_CORE_BASE_VECTOR_ACCESS_INL_H_
