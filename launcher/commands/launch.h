#ifndef EQUIPOISE_LAUNCHER_COMMANDS_LAUNCH_H_
#define EQUIPOISE_LAUNCHER_COMMANDS_LAUNCH_H_

#include <functional>
#include <optional>
#include <string>

#include "launcher/commands/exit_code.h"

namespace equipoise::launcher {

// What the environment says of this process' place in a job, before MPI is initialised.
struct Launch {
  int rank = 0;
  // Absent: no launcher started this process, so it is alone.
  std::optional<int> num_ranks;
};

// From the variables of OpenMPI (OMPI_COMM_WORLD_*) and of MPICH and its kin (PMI_*).
// `get_variable` is like `getenv`.
Launch DetectLaunch(const std::function<const char*(const char*)>& get_variable);

// Tells the user why the job ends, once and not once per rank, and returns the exit code as an int.
// Rank 0 writes `text` to stderr. Others wait for the launcher to end them, which it does when rank
// 0 has ended with an error; only what rank 0 did not see (another node's files) do they report
// themselves, some seconds later, with rank and host.
int FailJob(const Launch& launch, const std::string& text, ExitCode code);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_COMMANDS_LAUNCH_H_
