#ifndef EQUIPOISE_CORE_OPS_CPU_BUILD_INFO_H_
#define EQUIPOISE_CORE_OPS_CPU_BUILD_INFO_H_

#include <string>

namespace equipoise::cpu {

// The version of oneDNN that this program runs with: "2.6.3".
std::string OneDnnVersion();

// The instruction set that vector code takes on this machine: "AVX2".
std::string VectorTarget();

}  // namespace equipoise::cpu

#endif  // EQUIPOISE_CORE_OPS_CPU_BUILD_INFO_H_
