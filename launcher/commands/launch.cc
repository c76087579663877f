#include "launcher/commands/launch.h"

#include <limits.h>
#include <unistd.h>

#include <cstdio>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace equipoise::launcher {
namespace {

// Long enough for a slow rank 0 to say its line and for the launcher to notice its end.
constexpr absl::Duration kPatience = absl::Seconds(5);

struct Variables {
  const char* rank;
  const char* size;
};
constexpr Variables kLaunchers[] = {
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
    {"PMI_RANK", "PMI_SIZE"},
};

std::string HostName() {
  char name[HOST_NAME_MAX + 1] = {};
  return gethostname(name, HOST_NAME_MAX) == 0 ? name : "an unknown host";
}

}  // namespace

Launch DetectLaunch(const std::function<const char*(const char*)>& get_variable) {
  for (const Variables& variables : kLaunchers) {
    const char* rank_text = get_variable(variables.rank);
    const char* size_text = get_variable(variables.size);
    int rank = 0;
    int size = 0;
    const bool legal = rank_text != nullptr && size_text != nullptr &&
                       absl::SimpleAtoi(rank_text, &rank) && absl::SimpleAtoi(size_text, &size) &&
                       rank >= 0 && rank < size;
    if (!legal) continue;
    Launch launch;
    launch.rank = rank;
    launch.num_ranks = size;
    return launch;
  }
  return Launch();
}

int FailJob(const Launch& launch, const std::string& text, ExitCode code) {
  std::string message = text;
  if (message.empty() || message.back() != '\n') message += '\n';
  if (launch.rank != 0) {
    absl::SleepFor(kPatience);
    message = absl::StrCat("rank ", launch.rank, " on ", HostName(), ":\n", message);
  }
  // One call, so that lines of other processes cannot come in between.
  std::fwrite(message.data(), 1, message.size(), stderr);
  std::fflush(stderr);
  return static_cast<int>(code);
}

}  // namespace equipoise::launcher
