#ifndef EQUIPOISE_LAUNCHER_COMMANDS_EXIT_CODE_H_
#define EQUIPOISE_LAUNCHER_COMMANDS_EXIT_CODE_H_

#include "absl/status/status.h"

namespace equipoise::launcher {

// What the process tells a script; docs/errors.md.
enum class ExitCode : int {
  kDone = 0,
  kOther = 1,       // a bug, or something without a code of its own
  kConfig = 2,      // configuration or command line; a run directory that cannot be written
  kData = 3,        // corpus: missing, damaged, another vocabulary
  kCheckpoint = 4,  // damaged, missing although it must be there, of another model
  kNumerics = 65,   // a loss or gradient that is not finite
  kRetry = 75,      // a rank is gone or hangs: the same command may go well the next time
  kStopped =
      143,  // asked to end (128 + SIGTERM, whichever signal it was), and did so in good order
};

// `status` with the code its process shall end with; use it where a status' own code could mean
// several things. OK stays OK.
absl::Status WithExitCode(absl::Status status, ExitCode code);

// The code given by WithExitCode; otherwise by the status' code: InvalidArgument is kConfig,
// NotFound and OutOfRange kData, FailedPrecondition and DataLoss kCheckpoint, DeadlineExceeded,
// Aborted and Unavailable kRetry, Cancelled kStopped.
ExitCode ExitCodeOf(const absl::Status& status);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_COMMANDS_EXIT_CODE_H_
