#ifndef EQUIPOISE_LAUNCHER_CONFIG_SWEEP_VALUES_H_
#define EQUIPOISE_LAUNCHER_CONFIG_SWEEP_VALUES_H_

#include <string>
#include <vector>

#include "configs/schema/sweep.pb.h"

namespace equipoise::launcher {

// The values of a range as they are written in a configuration: from `from` by `step` towards `to`,
// which may be the smaller one, rounded to twelve digits so that 0.1 + 0.2 is 0.3. REQUIRES: step
// above 0, at most kMostValues of them.
std::vector<std::string> ValuesOf(const config::SweepRange& range);
// `count` values at equal ratios; the first and the last exact, the others rounded to six digits.
// REQUIRES: from and to above 0, count at least 2.
std::vector<std::string> ValuesOf(const config::SweepLogRange& range);

inline constexpr int kMostValues = 10000;
// How many values ValuesOf(range) would have, as a double because it may be anything.
double NumValues(const config::SweepRange& range);

// Equal for texts that mean the same value: one number may be written in several ways.
std::string CanonicalValue(const std::string& text);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_SWEEP_VALUES_H_
