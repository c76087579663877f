#ifndef EQUIPOISE_LAUNCHER_REPORT_METRICS_ROW_H_
#define EQUIPOISE_LAUNCHER_REPORT_METRICS_ROW_H_

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "core/telemetry/phase.h"

namespace equipoise::launcher {

inline constexpr double kAbsent = std::numeric_limits<double>::quiet_NaN();

// A layer's object in a row of metrics.jsonl. A number that is not there, or null, is kAbsent.
struct LayerRow {
  int layer = 0;
  std::vector<int64_t> counts;
  std::vector<int64_t> rank_loads;
  std::vector<int64_t> gate_bins;
  double gini = kAbsent;
  double min_max = kAbsent;
  double max_over_mean = kAbsent;
  double floor_gini = kAbsent;
  double floor_min_max = kAbsent;
  double floor_max_over_mean = kAbsent;
  double dead = kAbsent;
  double dropped_share = kAbsent;
  // Of the layer's `exchange`.
  double node_share = kAbsent;
  double predicted_seconds = kAbsent;
  double measured_seconds = kAbsent;
  double exposed_seconds = kAbsent;
  double balance_efficiency = kAbsent;
  // In `validation` only: counts by domain.
  std::vector<std::pair<std::string, std::vector<int64_t>>> domain_counts;
};

struct ValidationRow {
  bool present = false;
  double loss = kAbsent;
  double bits_per_byte = kAbsent;
  std::vector<std::pair<std::string, double>> domain_losses;
  std::vector<LayerRow> layers;
};

// A row of metrics.jsonl; docs/telemetry.md.
struct MetricsRow {
  int64_t step = -1;
  double tokens = kAbsent;
  double loss = kAbsent;
  double cross_entropy = kAbsent;
  double learning_rate = kAbsent;
  double gradient_norm = kAbsent;
  double tokens_per_second = kAbsent;
  double step_seconds = kAbsent;
  double mfu = kAbsent;
  bool has_cross_entropy = false;  // a training step, even where the number is not finite
  std::array<double, kNumPhases> time = {};
  bool has_time = false;
  std::vector<LayerRow> layers;
  std::vector<int64_t> node_bytes;  // [N * N]
  std::vector<std::pair<std::string, double>> link_seconds;
  ValidationRow validation;
};

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_REPORT_METRICS_ROW_H_
