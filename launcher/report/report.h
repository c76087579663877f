#ifndef EQUIPOISE_LAUNCHER_REPORT_REPORT_H_
#define EQUIPOISE_LAUNCHER_REPORT_REPORT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace equipoise::launcher {

// A report on runs and sweeps as one HTML page: `paths` are their directories; several runs are
// laid over one another. `window`: steps at the end that balance is judged by. The first path that
// is neither, or that a newer version wrote, is an error that says what to do.
absl::StatusOr<std::string> MakeReport(const std::vector<std::string>& paths, int window);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_REPORT_REPORT_H_
