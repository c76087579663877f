#ifndef EQUIPOISE_LAUNCHER_REPORT_SWEEP_SECTIONS_H_
#define EQUIPOISE_LAUNCHER_REPORT_SWEEP_SECTIONS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "launcher/report/page.h"

namespace equipoise::launcher {

// The parts of a report on the sweep in `path`: its points with confidence intervals, Pareto plots,
// and a curve a point. `prefix`: of the ids on the page. Errors as TrialStore::ReadPlan.
absl::StatusOr<std::vector<Section>> SweepSections(const std::string& path,
                                                   const std::string& prefix, int window);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_REPORT_SWEEP_SECTIONS_H_
