#ifndef EQUIPOISE_LAUNCHER_VERSION_H_
#define EQUIPOISE_LAUNCHER_VERSION_H_

namespace equipoise::launcher {

inline constexpr char kVersion[] = "0.1.0";

#if defined(__clang__)
inline constexpr char kCompiler[] = __VERSION__;
#else
inline constexpr char kCompiler[] = "GCC " __VERSION__;
#endif

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_VERSION_H_
