#ifndef EQUIPOISE_CORE_TELEMETRY_SCALARS_H_
#define EQUIPOISE_CORE_TELEMETRY_SCALARS_H_

#include <string>
#include <string_view>
#include <vector>

#include "core/telemetry/step_record.h"

namespace equipoise {

// One number of a step for systems that know only named numbers: `family` alone, or one of a family
// told apart by a label, such as moe_gini with layer="2" and time_seconds with phase="experts".
struct Scalar {
  std::string_view family;
  std::string_view label_name;  // empty: no label
  std::string label;
  double value = 0.0;
};

// All numbers of a step but the counts. docs/telemetry.md lists the families.
std::vector<Scalar> ScalarsOf(const StepRecord& record);
std::vector<Scalar> ScalarsOf(const ValidationRecord& record);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_TELEMETRY_SCALARS_H_
