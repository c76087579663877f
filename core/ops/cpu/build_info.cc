#include "core/ops/cpu/build_info.h"

#include <oneapi/dnnl/dnnl.h>

// Compiled once per instruction set: foreach_target.h includes this file again and again.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/cpu/build_info.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep

// Only after foreach_target.h:
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace equipoise::cpu::HWY_NAMESPACE {

const char* TargetName() { return hwy::TargetName(HWY_TARGET); }

}  // namespace equipoise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace equipoise::cpu {

HWY_EXPORT(TargetName);

std::string VectorTarget() { return HWY_DYNAMIC_DISPATCH(TargetName)(); }

std::string OneDnnVersion() {
  const dnnl_version_t& version = *dnnl_version();
  return std::to_string(version.major) + "." + std::to_string(version.minor) + "." +
         std::to_string(version.patch);
}

}  // namespace equipoise::cpu
#endif  // HWY_ONCE
