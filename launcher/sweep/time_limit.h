#ifndef EQUIPOISE_LAUNCHER_SWEEP_TIME_LIMIT_H_
#define EQUIPOISE_LAUNCHER_SWEEP_TIME_LIMIT_H_

#include <string>

#include "launcher/sweep/trial_grid.h"
#include "launcher/sweep/trial_store.h"

namespace equipoise::launcher {

// `max_minutes` of a resolved configuration's text; infinity if it sets no limit.
double MaxMinutesOf(const std::string& config_text);

// Whether a trial is finished only in that max_minutes, or another end before its last step, came
// first.
bool EndedEarly(const Trial& trial, const TrialStatus& status);

// Whether max_minutes of `trial` is more than that of the configuration in its run directory, which
// it ended early with.
bool LimitIsRaised(const TrialStore& store, const Trial& trial);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_SWEEP_TIME_LIMIT_H_
