#ifndef EQUIPOISE_LAUNCHER_REPORT_RUN_HISTORY_H_
#define EQUIPOISE_LAUNCHER_REPORT_RUN_HISTORY_H_

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/telemetry/phase.h"
#include "launcher/report/metrics_row.h"
#include "launcher/report/series.h"

namespace equipoise::launcher {

// The last steps' counts of a layer, and their sum.
class CountWindow {
 public:
  explicit CountWindow(size_t steps) : steps_(steps) {}
  void Add(std::span<const int64_t> counts);
  const std::vector<int64_t>& sums() const { return sums_; }
  int64_t num_steps() const { return static_cast<int64_t>(rows_.size()); }

 private:
  const size_t steps_;
  std::deque<std::vector<int64_t>> rows_;
  std::vector<int64_t> sums_;
};

// One MoE layer over the steps.
struct LayerHistory {
  LayerHistory(int index, size_t window) : layer(index), last_counts(window) {}

  int layer = 0;
  Series gini;
  Series min_max;
  Series max_over_mean;
  Series node_share;
  Series predicted_seconds;
  Series measured_seconds;
  Series exposed_seconds;
  LoadGrid load;
  LoadGrid gates;  // copies by gate, bins of routing/gate_histogram.h in the place of experts
  CountWindow last_counts;
};

// What a class of links is thought to cost (`link_seconds`).
struct LinkHistory {
  std::string name;
  Series seconds;
};

// A figure of balance over the steps, of all MoE layers together.
struct BalanceHistory {
  Series worst;
  Series mean;
  Series floor;  // mean over the layers of what chance alone would give
};

struct ValidationPoint {
  int64_t step = 0;
  ValidationRow row;
};

// A line of events.jsonl.
struct HistoryEvent {
  std::string time;
  int64_t step = 0;
  std::string event;  // "start", "checkpoint", "warning", "end"
  std::string text;
};

using NamedTexts = std::vector<std::pair<std::string, std::string>>;

// A start of the run, from run.json, as (name, value).
struct HistoryStart {
  std::string first_host = "";  // of rank 0; empty: not known
  NamedTexts facts;             // time, hosts, command, versions
  NamedTexts environment;
};

// Everything a report says of a run, in bounded memory. A value.
struct RunHistory {
  std::string path;
  std::string name;    // of the directory
  std::string state;   // of STATUS.json; "interrupted": running as it says, but its job is gone
  std::string reason;  // of a state that is not certain, too
  int64_t status_step = 0;                        // of STATUS.json
  absl::Duration silence = absl::ZeroDuration();  // of a running one: since its last step

  int64_t num_steps = 0;
  int64_t last_step = 0;
  double tokens = 0.0;
  int64_t num_not_finite = 0;  // steps whose cross entropy was no number
  int64_t num_validations_not_finite = 0;
  // What is missing or damaged of the run's files, a clause each.
  std::vector<std::string> damage;
  bool counts_from_router_log = false;
  int window = 0;  // steps of LayerHistory::last_counts

  Series loss;
  Series cross_entropy;
  Series learning_rate;
  Series gradient_norm;
  Series tokens_per_second;
  Series mfu;
  std::array<Series, kNumPhases> time;  // seconds a step
  BalanceHistory gini;
  BalanceHistory min_max;
  BalanceHistory max_over_mean;
  std::vector<LayerHistory> layers;
  std::vector<double> node_bytes;  // [N * N], summed over all steps; empty if not recorded
  std::vector<LinkHistory> links;
  // Rows that experts compute: mean over ranks over the most of any; mean over the layers.
  Series balance_efficiency;
  std::vector<ValidationPoint> validations;

  std::vector<HistoryEvent> events;
  std::vector<HistoryStart> starts;
  std::string config_text;
  std::map<std::string, std::string> config;  // "moe.num_experts" -> "8"
};

// Reads a run directory, finished or not; a missing or damaged file leaves out what it would say,
// and is counted. NotFound with what to do: the path is no run. FailedPrecondition: a newer version
// wrote it.
absl::StatusOr<RunHistory> ReadRun(const std::string& path, int window);

// The fields of a configuration in text format, by their paths.
std::map<std::string, std::string> FlattenConfig(const std::string& text);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_REPORT_RUN_HISTORY_H_
