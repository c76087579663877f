#ifndef EQUIPOISE_LAUNCHER_CONFIG_SWEEP_LOADER_H_
#define EQUIPOISE_LAUNCHER_CONFIG_SWEEP_LOADER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "launcher/config/sweep_spec.h"

namespace equipoise::launcher {

// Reads and checks a sweep file. `overrides`: "PATH=VALUE" of the command line, for every trial.
// InvalidArgument with everything that is wrong, a line "file:line:col: what; did you mean X?" for
// each: what LoadConfig would say of a file; an axis of a field that does not exist, or with values
// it cannot have; a field that two places set; a path that leads nowhere; conditions on axes and
// points that do not exist. Whether a combination makes a valid configuration is for TrialGrid.
absl::StatusOr<SweepSpec> LoadSweep(const std::string& path,
                                    const std::vector<std::string>& overrides);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_SWEEP_LOADER_H_
