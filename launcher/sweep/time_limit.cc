#include "launcher/sweep/time_limit.h"

#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace equipoise::launcher {

double MaxMinutesOf(const std::string& config_text) {
  for (absl::string_view line : absl::StrSplit(config_text, '\n')) {
    // The fields of blocks are indented.
    double minutes = 0.0;
    if (absl::ConsumePrefix(&line, "max_minutes: ") && absl::SimpleAtod(line, &minutes) &&
        minutes > 0.0) {
      return minutes;
    }
  }
  return std::numeric_limits<double>::infinity();
}

bool EndedEarly(const Trial& trial, const TrialStatus& status) {
  return status.state == TrialState::kFinished && status.step < trial.steps;
}

bool LimitIsRaised(const TrialStore& store, const Trial& trial) {
  return MaxMinutesOf(trial.config_text) > MaxMinutesOf(store.ReadTrialConfig(trial.id));
}

}  // namespace equipoise::launcher
