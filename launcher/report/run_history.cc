#include "launcher/report/run_history.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/status_macros.h"
#include "core/io/file_system.h"
#include "core/telemetry/router_log_reader.h"
#include "core/telemetry/step_gaps.h"
#include "launcher/report/file_damage.h"
#include "launcher/report/metrics_reader.h"
#include "launcher/report/run_files.h"

namespace equipoise::launcher {
namespace {

// The history of layer `index` of the model, at `hint` or made.
LayerHistory& LayerOf(RunHistory& run, int index, size_t hint) {
  if (hint < run.layers.size() && run.layers[hint].layer == index) return run.layers[hint];
  for (LayerHistory& layer : run.layers) {
    if (layer.layer == index) return layer;
  }
  return run.layers.emplace_back(index, static_cast<size_t>(run.window));
}

void AddCounts(int64_t step, std::span<const int64_t> counts, std::span<const int64_t> gate_bins,
               LayerHistory& layer) {
  layer.load.Add(step, counts);
  layer.gates.Add(step, gate_bins);
  layer.last_counts.Add(counts);
}

void AddNodeBytes(std::span<const int64_t> bytes, RunHistory& run) {
  run.node_bytes.resize(std::max(run.node_bytes.size(), bytes.size()));
  for (size_t i = 0; i < bytes.size(); ++i) run.node_bytes[i] += static_cast<double>(bytes[i]);
}

void AddLinks(const MetricsRow& row, RunHistory& run) {
  for (const auto& [name, seconds] : row.link_seconds) {
    auto link = std::find_if(run.links.begin(), run.links.end(),
                             [&name = name](const LinkHistory& l) { return l.name == name; });
    if (link == run.links.end()) link = run.links.insert(link, {name, {}});
    link->seconds.Add(row.step, seconds);
  }
}

// Over the layers of a row: the worst, the mean, and the mean floor.
void AddBalance(const MetricsRow& row, double LayerRow::*figure, double LayerRow::*floor,
                bool small_is_bad, BalanceHistory& history) {
  if (row.layers.empty()) return;
  double worst = row.layers[0].*figure;
  double sum = 0.0;
  double floors = 0.0;
  for (const LayerRow& layer : row.layers) {
    const double value = layer.*figure;
    worst = small_is_bad ? std::min(worst, value) : std::max(worst, value);
    sum += value;
    floors += layer.*floor;
  }
  const auto count = static_cast<double>(row.layers.size());
  history.worst.Add(row.step, worst);
  history.mean.Add(row.step, sum / count);
  history.floor.Add(row.step, floors / count);
}

void AddLayers(const MetricsRow& row, RunHistory& run) {
  double efficiency = 0.0;
  AddNodeBytes(row.node_bytes, run);
  for (size_t i = 0; i < row.layers.size(); ++i) {
    const LayerRow& from = row.layers[i];
    LayerHistory& to = LayerOf(run, from.layer, i);
    to.gini.Add(row.step, from.gini);
    to.min_max.Add(row.step, from.min_max);
    to.max_over_mean.Add(row.step, from.max_over_mean);
    to.node_share.Add(row.step, from.node_share);
    to.predicted_seconds.Add(row.step, from.predicted_seconds);
    to.measured_seconds.Add(row.step, from.measured_seconds);
    to.exposed_seconds.Add(row.step, from.exposed_seconds);
    if (!run.counts_from_router_log) AddCounts(row.step, from.counts, from.gate_bins, to);
    efficiency += from.balance_efficiency;
  }
  if (!row.layers.empty()) {
    run.balance_efficiency.Add(row.step, efficiency / static_cast<double>(row.layers.size()));
  }
  AddBalance(row, &LayerRow::gini, &LayerRow::floor_gini, false, run.gini);
  AddBalance(row, &LayerRow::min_max, &LayerRow::floor_min_max, true, run.min_max);
  AddBalance(row, &LayerRow::max_over_mean, &LayerRow::floor_max_over_mean, false,
             run.max_over_mean);
}

void AddRow(const MetricsRow& row, RunHistory& run) {
  run.last_step = std::max(run.last_step, row.step);
  if (std::isfinite(row.tokens)) run.tokens = row.tokens;
  if (row.validation.present) {
    run.validations.push_back({row.step, row.validation});
    if (!std::isfinite(row.validation.loss)) ++run.num_validations_not_finite;
  }
  if (!row.has_cross_entropy) return;
  ++run.num_steps;
  if (!std::isfinite(row.cross_entropy)) ++run.num_not_finite;
  run.loss.Add(row.step, row.loss);
  run.cross_entropy.Add(row.step, row.cross_entropy);
  run.learning_rate.Add(row.step, row.learning_rate);
  run.gradient_norm.Add(row.step, row.gradient_norm);
  run.tokens_per_second.Add(row.step, row.tokens_per_second);
  run.mfu.Add(row.step, row.mfu);
  for (size_t i = 0; row.has_time && i < row.time.size(); ++i)
    run.time[i].Add(row.step, row.time[i]);
  AddLinks(row, run);
  AddLayers(row, run);
}

// Reads router.bin if it can be, and says how opening it went. `num_records`: what it had.
absl::Status ReadRouterLog(const FileSystem& files, RunHistory& run, int64_t& num_records) {
  EQ_ASSIGN_OR_RETURN(RouterLogReader reader, RouterLogReader::Open(files, run.path));
  RouterRecord record;
  for (; reader.Next(record); ++num_records) {
    for (size_t i = 0; i < record.layers.size(); ++i) {
      const RouterLayer& layer = record.layers[i];
      AddCounts(record.step, layer.counts, layer.gate_bins, LayerOf(run, layer.layer, i));
    }
  }
  if (!reader.gaps().empty()) {
    run.damage.push_back(absl::StrCat(kRouterLogName, ": ", reader.gaps().Describe(),
                                      "; the loads by expert are without them"));
  }
  return absl::OkStatus();
}

}  // namespace

void CountWindow::Add(std::span<const int64_t> counts) {
  if (counts.empty()) return;
  sums_.resize(std::max(sums_.size(), counts.size()));
  for (size_t e = 0; e < counts.size(); ++e) sums_[e] += counts[e];
  if (rows_.size() < steps_) {
    rows_.emplace_back(counts.begin(), counts.end());
    return;
  }
  std::vector<int64_t> oldest = std::move(rows_.front());
  rows_.pop_front();
  for (size_t e = 0; e < oldest.size(); ++e) sums_[e] -= oldest[e];
  oldest.assign(counts.begin(), counts.end());
  rows_.push_back(std::move(oldest));
}

std::map<std::string, std::string> FlattenConfig(const std::string& text) {
  std::map<std::string, std::string> fields;
  std::vector<std::string> blocks;
  std::map<std::string, int> repeats;
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  for (const std::string& whole : lines) {
    const std::string line(absl::StripAsciiWhitespace(whole));
    if (line.empty() || line[0] == '#') continue;
    if (absl::EndsWith(line, "{")) {
      const std::string name(absl::StripAsciiWhitespace(line.substr(0, line.size() - 1)));
      const std::string path = absl::StrCat(absl::StrJoin(blocks, "."), ".", name);
      const int number = repeats[path]++;
      blocks.push_back(number == 0 ? name : absl::StrCat(name, "[", number, "]"));
    } else if (line == "}") {
      if (!blocks.empty()) blocks.pop_back();
    } else {
      const size_t colon = line.find(": ");
      if (colon == std::string::npos) continue;
      const std::string prefix = blocks.empty() ? "" : absl::StrJoin(blocks, ".") + ".";
      std::string& value = fields[prefix + line.substr(0, colon)];
      absl::StrAppend(&value, value.empty() ? "" : ", ", line.substr(colon + 2));
    }
  }
  return fields;
}

absl::StatusOr<RunHistory> ReadRun(const std::string& path, int window) {
  const std::unique_ptr<FileSystem> files = NewPosixFileSystem();
  RunHistory run;
  run.path = path;
  run.window = window;
  EQ_RETURN_IF_ERROR(ReadRunFiles(*files, run));
  AddConfigDamage(*files, run);
  int64_t num_records = 0;
  const absl::Status log = ReadRouterLog(*files, run, num_records);
  run.counts_from_router_log = !run.layers.empty();
  MetricsReader reader;
  MetricsReaderOptions options;
  options.skip_counts = run.counts_from_router_log;
  StepGaps gaps;
  const absl::StatusOr<MetricsReadResult> result =
      reader.Read(JoinPath(path, "metrics.jsonl"), options, [&](const MetricsRow& row) {
        gaps.See(row.step);
        AddRow(row, run);
      });
  // A run that was stopped before its first step has no rows, and a report that says so.
  if (!result.ok() && !absl::IsNotFound(result.status())) return result.status();
  if (result.ok() && result->num_skipped > 0) {
    run.damage.push_back(absl::StrCat(
        result->num_skipped, result->num_skipped == 1 ? " line" : " lines", " of metrics.jsonl ",
        result->num_skipped == 1 ? "is" : "are", " damaged or unfinished"));
  }
  // How far a run has come that has ended; one that goes on may have gone back.
  if (run.state != "running") gaps.End(run.status_step - gaps.last().value_or(0));
  if (!gaps.empty()) run.damage.push_back(absl::StrCat("metrics.jsonl: ", gaps.Describe()));
  AddRouterLogDamage(*files, log, num_records, run);
  return run;
}

}  // namespace equipoise::launcher
