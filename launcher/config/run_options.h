#ifndef EQUIPOISE_LAUNCHER_CONFIG_RUN_OPTIONS_H_
#define EQUIPOISE_LAUNCHER_CONFIG_RUN_OPTIONS_H_

#include <cstdint>
#include <string>

#include "comm/work.h"
#include "core/data/dataset.h"
#include "parallel/train_options.h"

namespace equipoise::launcher {

enum class ProgressBar : uint8_t {
  kAuto,  // on a terminal
  kOn,
  kOff,
};

struct TelemetryOptions {
  int64_t console_every_steps = 1;
  ProgressBar progress = ProgressBar::kAuto;
  // Sinks besides metrics.jsonl; core/telemetry/step_sink.h.
  bool router_log = true;
  bool tensorboard = true;
  bool prometheus = true;
  std::string prometheus_directory;  // empty: prom/ in the run directory
};

// A configuration as plain structs: what the layers below take.
struct RunOptions {
  std::string name;  // fit to name a directory
  parallel::TrainOptions train;
  // The domains that have validation files, in the order of train.data; no sources when
  // train.validation.sequences is 0.
  DatasetOptions validation_data;
  TelemetryOptions telemetry;
  // Of the world that the run trains on.
  comm::Patience patience;
};

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_RUN_OPTIONS_H_
