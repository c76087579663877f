#ifndef EQUIPOISE_LAUNCHER_REPORT_LIVENESS_H_
#define EQUIPOISE_LAUNCHER_REPORT_LIVENESS_H_

#include <optional>
#include <string>

#include "absl/time/time.h"

namespace equipoise::launcher {

// Whether the job of a run is still there, as far as this machine can know.
struct Liveness {
  bool is_gone = false;
  // Since the last step, or since the start of a run without one; nothing if there is no file.
  std::optional<absl::Duration> silence = std::nullopt;
  // What is not certain, for people: empty if all is.
  std::string doubt = "";
};

// A run on another machine that has been silent for so long, and whose lock nobody is seen to hold,
// is taken to be gone.
inline constexpr absl::Duration kLongestSilence = absl::Minutes(10);

// Of a run whose STATUS.json says that it is running. `host`: of its first rank; empty: not known.
// The lock decides on that machine, and wherever it is seen to be held. Elsewhere a free one may
// only mean that locks do not cross the file system: there the files' age decides.
Liveness JudgeLiveness(const std::string& run_directory, const std::string& host);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_REPORT_LIVENESS_H_
