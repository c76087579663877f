#include "launcher/sweep/trial_figures.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "core/base/check.h"
#include "launcher/sweep/statistics.h"
#include "routing/load_stats.h"

namespace equipoise::launcher {
namespace {

using Json = nlohmann::json;

constexpr std::array<const char*, kNumFigures> kNames = {
    "validation_loss",
    "validation_bits_per_byte",
    "training_loss",
    "gini_mean",
    "gini_worst",
    "gini_floor",
    "min_max_mean",
    "min_max_worst",
    "min_max_floor",
    "max_over_mean_mean",
    "max_over_mean_worst",
    "max_over_mean_floor",
    "held_out_gini_mean",
    "held_out_gini_worst",
    "held_out_gini_floor",
    "held_out_min_max_mean",
    "held_out_min_max_worst",
    "held_out_min_max_floor",
    "held_out_max_over_mean_mean",
    "held_out_max_over_mean_worst",
    "held_out_max_over_mean_floor",
    "tokens_per_second",
    "route_share",
    "exchange_share",
    "bytes_per_token",
};

// Nine figures in a row, for the window or the held-out text.
struct BalanceSlots {
  Figure gini, min_max, max_over_mean;  // each followed by its worst and its floor
};
constexpr BalanceSlots kWindowSlots = {Figure::kGiniMean, Figure::kMinMaxMean,
                                       Figure::kMaxOverMeanMean};
constexpr BalanceSlots kHeldOutSlots = {Figure::kHeldOutGiniMean, Figure::kHeldOutMinMaxMean,
                                        Figure::kHeldOutMaxOverMeanMean};

Figure After(Figure figure, size_t offset) {
  return static_cast<Figure>(static_cast<size_t>(figure) + offset);
}

std::optional<double> NumberOf(const Json& json, const char* name) {
  const auto found = json.find(name);
  if (found == json.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

// The counts of a layer's object; empty if it has none.
std::vector<double> CountsOf(const Json& layer) {
  std::vector<double> counts;
  const auto found = layer.find("counts");
  if (found == layer.end() || !found->is_array()) return counts;
  for (const Json& count : *found) {
    if (!count.is_number()) return {};
    counts.push_back(count.get<double>());
  }
  return counts;
}

// The load of one layer and the figures that chance alone would give.
struct LayerLoad {
  routing::LoadStats load;
  std::optional<routing::LoadStats> floor;
};

double MeanOf(const std::vector<LayerLoad>& layers, double routing::LoadStats::*figure) {
  double sum = 0.0;
  for (const LayerLoad& layer : layers) sum += layer.load.*figure;
  return sum / static_cast<double>(layers.size());
}

// Nothing unless every layer has a floor.
std::optional<double> MeanFloorOf(const std::vector<LayerLoad>& layers,
                                  double routing::LoadStats::*figure) {
  double sum = 0.0;
  for (const LayerLoad& layer : layers) {
    if (!layer.floor.has_value()) return std::nullopt;
    sum += *layer.floor.*figure;
  }
  return sum / static_cast<double>(layers.size());
}

void SetBalance(const std::vector<LayerLoad>& layers, const BalanceSlots& slots,
                TrialFigures& figures) {
  using routing::LoadStats;
  if (layers.empty()) return;
  const auto set = [&](Figure first, double LoadStats::*figure, bool small_is_bad) {
    figures[first] = MeanOf(layers, figure);
    const auto by_figure = [&](const LayerLoad& a, const LayerLoad& b) {
      return a.load.*figure < b.load.*figure;
    };
    const auto [least, most] = std::minmax_element(layers.begin(), layers.end(), by_figure);
    figures[After(first, 1)] = (small_is_bad ? least : most)->load.*figure;
    figures[After(first, 2)] = MeanFloorOf(layers, figure);
  };
  set(slots.gini, &LoadStats::gini, /*small_is_bad=*/false);
  set(slots.min_max, &LoadStats::min_max, /*small_is_bad=*/true);
  set(slots.max_over_mean, &LoadStats::max_over_mean, /*small_is_bad=*/false);
}

// The step of a row, which is its first key, without parsing the rest.
std::optional<int64_t> StepOf(const std::string& line) {
  constexpr std::string_view kKey = "\"step\":";
  const size_t key = line.find(kKey);
  int64_t step = 0;
  if (key == std::string::npos) return std::nullopt;
  const char* begin = line.data() + key + kKey.size();
  const auto [end, error] = std::from_chars(begin, line.data() + line.size(), step);
  return error == std::errc() ? std::optional<int64_t>(step) : std::nullopt;
}

// A line worth parsing: one that was cut off has no end.
bool LooksWhole(const std::string& line) {
  return line.size() >= 2 && line.front() == '{' && line.back() == '}';
}

}  // namespace

const char* Name(Figure figure) { return kNames[static_cast<size_t>(figure)]; }

// One pass over a file.
class FigureReader {
 public:
  explicit FigureReader(int window) : window_(static_cast<size_t>(window)) {}

  TrialFigures Read(std::istream& metrics) {
    std::string line;
    while (std::getline(metrics, line)) Take(line);
    std::vector<Json> rows;
    for (const std::string& text : last_lines_) {
      Json row = Parse(text);
      if (!row.is_object()) continue;
      See(StepOf(text));
      rows.push_back(std::move(row));
    }
    ReadWindow(rows);
    if (!last_validation_.empty()) ReadValidation(Parse(last_validation_));
    return figures_;
  }

 private:
  void Take(const std::string& line) {
    if (line.empty()) return;
    if (!LooksWhole(line)) {
      ++figures_.num_skipped_;
      return;
    }
    // Both keys are at the top only, so the text need not be parsed to know.
    if (line.find("\"validation\":") != std::string::npos) last_validation_ = line;
    if (line.find("\"cross_entropy\":") == std::string::npos) return;
    last_lines_.push_back(line);
    if (last_lines_.size() <= window_) return;
    See(StepOf(last_lines_.front()));
    last_lines_.pop_front();
  }

  void See(const std::optional<int64_t>& step) {
    if (!step.has_value()) return;
    if (!figures_.first_step_.has_value()) figures_.first_step_ = step;
    figures_.gaps_.See(*step);
  }

  Json Parse(const std::string& line) {
    Json row = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!row.is_object()) ++figures_.num_skipped_;
    return row;
  }

  void ReadWindow(const std::vector<Json>& rows) {
    if (rows.empty()) return;
    figures_.num_steps_ = static_cast<int64_t>(rows.size());
    figures_.last_step_ = static_cast<int64_t>(NumberOf(rows.back(), "step").value_or(0.0));
    std::vector<double> losses;
    std::vector<double> speeds;
    double seconds = 0.0;
    double route = 0.0;
    double exchange = 0.0;
    for (const Json& row : rows) {
      if (const auto loss = NumberOf(row, "cross_entropy")) losses.push_back(*loss);
      if (const auto speed = NumberOf(row, "tokens_per_second")) speeds.push_back(*speed);
      const auto time = row.find("time");
      if (time == row.end() || !time->is_object()) continue;
      seconds += NumberOf(row, "step_seconds").value_or(0.0);
      route += NumberOf(*time, "route").value_or(0.0);
      exchange += NumberOf(*time, "dispatch").value_or(0.0);
      exchange += NumberOf(*time, "combine").value_or(0.0);
    }
    if (const auto loss = Summarise(losses)) figures_[Figure::kTrainingLoss] = loss->mean;
    figures_[Figure::kTokensPerSecond] = Median(std::move(speeds));
    if (seconds > 0.0) {
      figures_[Figure::kRouteShare] = route / seconds;
      figures_[Figure::kExchangeShare] = exchange / seconds;
    }
    figures_[Figure::kBytesPerToken] = BytesPerToken(rows);
    SetBalance(WindowLoads(rows), kWindowSlots, figures_);
  }

  // Nothing unless every row has exchanges.
  static std::optional<double> BytesPerToken(const std::vector<Json>& rows) {
    double bytes = 0.0;
    for (const Json& row : rows) {
      const auto layers = row.find("moe");
      if (layers == row.end() || !layers->is_array() || layers->empty()) return std::nullopt;
      for (const Json& layer : *layers) {
        const auto exchange = layer.find("exchange");
        if (exchange == layer.end() || !exchange->is_object()) return std::nullopt;
        bytes += NumberOf(*exchange, "node_bytes").value_or(0.0);
        bytes += NumberOf(*exchange, "remote_bytes").value_or(0.0);
      }
    }
    const int64_t tokens = TokensOf(rows);
    if (tokens <= 0) return std::nullopt;
    return bytes / static_cast<double>(tokens);
  }

  // The counts of each layer, summed over the rows.
  static std::vector<LayerLoad> WindowLoads(const std::vector<Json>& rows) {
    std::map<int, std::vector<double>> sums;
    for (const Json& row : rows) {
      const auto layers = row.find("moe");
      if (layers == row.end() || !layers->is_array()) continue;
      for (const Json& layer : *layers) {
        const std::vector<double> counts = CountsOf(layer);
        std::vector<double>& sum = sums[static_cast<int>(NumberOf(layer, "layer").value_or(0.0))];
        sum.resize(std::max(sum.size(), counts.size()));
        for (size_t e = 0; e < counts.size(); ++e) sum[e] += counts[e];
      }
    }
    const int64_t tokens = TokensOf(rows);
    std::vector<LayerLoad> loads;
    for (const auto& [layer, counts] : sums) {
      if (counts.empty()) continue;
      loads.push_back({routing::ComputeLoadStats(counts), Floor(counts, tokens)});
    }
    return loads;
  }

  // Tokens of the rows: each step has as many as the last one had.
  static int64_t TokensOf(const std::vector<Json>& rows) {
    const double last = NumberOf(rows.back(), "tokens").value_or(0.0);
    const double step = NumberOf(rows.back(), "step").value_or(0.0);
    double per_step = step > 0.0 ? last / step : 0.0;
    if (rows.size() > 1) per_step = last - NumberOf(rows[rows.size() - 2], "tokens").value_or(last);
    return std::llround(per_step * static_cast<double>(rows.size()));
  }

  static std::optional<routing::LoadStats> Floor(const std::vector<double>& counts,
                                                 int64_t tokens) {
    if (tokens <= 0) return std::nullopt;
    const double copies = std::accumulate(counts.begin(), counts.end(), 0.0);
    const int num_experts = static_cast<int>(counts.size());
    const double per_token = copies / static_cast<double>(tokens);
    return routing::SamplingFloor(tokens, num_experts,
                                  std::min(per_token, static_cast<double>(num_experts)));
  }

  void ReadValidation(const Json& row) {
    const auto validation = row.is_object() ? row.find("validation") : row.end();
    if (validation == row.end() || !validation->is_object()) return;
    figures_[Figure::kValidationLoss] = NumberOf(*validation, "loss");
    figures_[Figure::kBitsPerByte] = NumberOf(*validation, "bits_per_byte");
    const auto layers = validation->find("moe");
    if (layers == validation->end() || !layers->is_array()) return;
    std::vector<LayerLoad> loads;
    for (const Json& layer : *layers) {
      const std::vector<double> counts = CountsOf(layer);
      if (!counts.empty()) {
        loads.push_back({routing::ComputeLoadStats(counts), WrittenFloor(layer)});
      }
    }
    SetBalance(loads, kHeldOutSlots, figures_);
  }

  // The floor that the row itself has.
  static std::optional<routing::LoadStats> WrittenFloor(const Json& layer) {
    const auto gini = NumberOf(layer, "floor_gini");
    const auto min_max = NumberOf(layer, "floor_min_max");
    const auto max_over_mean = NumberOf(layer, "floor_max_over_mean");
    if (!gini.has_value() || !min_max.has_value() || !max_over_mean.has_value()) {
      return std::nullopt;
    }
    routing::LoadStats floor;
    floor.gini = *gini;
    floor.min_max = *min_max;
    floor.max_over_mean = *max_over_mean;
    return floor;
  }

  const size_t window_;
  TrialFigures figures_;
  std::deque<std::string> last_lines_;  // the newest rows of steps
  std::string last_validation_;
};

TrialFigures TrialFigures::Read(std::istream& metrics, int window) {
  EQ_CHECK_GE(window, 1);
  return FigureReader(window).Read(metrics);
}

}  // namespace equipoise::launcher
