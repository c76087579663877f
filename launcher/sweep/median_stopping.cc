#include "launcher/sweep/median_stopping.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "core/telemetry/metrics_writer.h"
#include "core/telemetry/step_record.h"
#include "launcher/config/suggest.h"
#include "launcher/sweep/statistics.h"

namespace equipoise::launcher {
namespace {

using Json = nlohmann::json;

// A row without its layers, which would be most of the work and are never compared.
Json ParseRow(const std::string& line) {
  const auto keep = [](int depth, Json::parse_event_t event, Json& parsed) {
    return depth != 1 || event != Json::parse_event_t::key || parsed != Json("moe");
  };
  return Json::parse(line, keep, /*allow_exceptions=*/false);
}

// The number at a path like "validation.loss".
std::optional<double> NumberAt(const Json& row, const std::string& path) {
  const Json* at = &row;
  for (const std::string& name : std::vector<std::string>(absl::StrSplit(path, '.'))) {
    if (!at->is_object()) return std::nullopt;
    const auto found = at->find(name);
    if (found == at->end()) return std::nullopt;
    at = &*found;
  }
  if (!at->is_number()) return std::nullopt;
  return at->get<double>();
}

// Paths of the numbers in a row, without those in lists.
void CollectNumbers(const Json& row, const std::string& prefix, std::vector<std::string>& paths) {
  for (const auto& [name, value] : row.items()) {
    if (value.is_number()) paths.push_back(prefix + name);
    if (value.is_object()) CollectNumbers(value, absl::StrCat(prefix, name, "."), paths);
  }
}

// Those that every row has, or that rows with a validation do.
std::vector<std::string> KnownNumbers() {
  StepRecord record;
  record.mfu = 0.0;
  record.validation.emplace().bits_per_byte = 0.0;
  std::vector<std::string> paths;
  CollectNumbers(Json::parse(StepRecordToJson(record)), "", paths);
  return paths;
}

}  // namespace

absl::Status CheckMetric(const std::string& metric) {
  // Their names come from the configuration.
  for (const char* family : {"auxiliary.", "validation.domains."}) {
    if (absl::StartsWith(metric, family)) return absl::OkStatus();
  }
  const std::vector<std::string> known = KnownNumbers();
  if (std::find(known.begin(), known.end(), metric) != known.end()) return absl::OkStatus();
  const std::string nearest = DidYouMean(metric, known);
  return absl::InvalidArgumentError(absl::StrCat(
      "median_stopping.metric: metrics.jsonl has no number '", metric, "'",
      nearest.empty() ? absl::StrCat("; it has ", absl::StrJoin(known, ", ")) : nearest));
}

void MetricHistory::Update() {
  std::ifstream file(path_, std::ios::binary | std::ios::ate);
  if (!file) return;
  if (file.tellg() < offset_) {
    offset_ = 0;
    sum_ = 0.0;
    count_ = 0;
    means_.clear();
  }
  file.seekg(offset_);
  std::string line;
  while (std::getline(file, line) && !file.eof()) {
    Take(line);
    offset_ = file.tellg();
  }
}

void MetricHistory::Take(const std::string& line) {
  const Json row = ParseRow(line);
  const std::optional<double> value = NumberAt(row, options_.metric);
  const std::optional<double> step = NumberAt(row, "step");
  if (value.has_value()) {
    sum_ += *value;
    ++count_;
  }
  if (!step.has_value() || count_ == 0) return;
  const int64_t beyond = static_cast<int64_t>(*step) - options_.after_steps;
  if (beyond >= 0 && beyond % options_.every_steps == 0) {
    means_[static_cast<int64_t>(*step)] = sum_ / static_cast<double>(count_);
  }
}

MedianStopping::MedianStopping(const TrialStore& store, const std::vector<std::string>& ids,
                               const MedianStoppingOptions& options, absl::Duration interval)
    : options_(options), interval_(interval) {
  for (const std::string& id : ids) {
    histories_.emplace(id, MetricHistory(JoinPath(store.trial_path(id), "metrics.jsonl"), options));
  }
}

void MedianStopping::Update() {
  if (absl::Now() - updated_ < interval_) return;
  updated_ = absl::Now();
  for (auto& [id, history] : histories_) history.Update();
}

std::string MedianStopping::ReasonToStop(const std::string& id) {
  Update();
  const auto own = histories_.find(id);
  if (own == histories_.end() || own->second.means().empty()) return "";
  // The newest comparison stands for all: earlier ones were made when the trial was there.
  const auto [step, mean] = *own->second.means().rbegin();
  std::vector<double> others;
  for (const auto& [other, history] : histories_) {
    const auto found = history.means().find(step);
    if (other != id && found != history.means().end()) others.push_back(found->second);
  }
  if (others.size() < static_cast<size_t>(options_.min_trials)) return "";
  const std::optional<double> median = Median(others);
  if (!median.has_value() || mean <= *median) return "";
  return absl::StrFormat("at step %d its mean %s of %.4f was above %.4f, the median of %d others",
                         step, options_.metric, mean, *median, others.size());
}

}  // namespace equipoise::launcher
