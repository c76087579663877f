#include "launcher/top/screen.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "core/telemetry/console.h"
#include "core/telemetry/phase.h"

namespace equipoise::launcher {
namespace {

constexpr int kLevels = 8;
constexpr std::array<const char*, kLevels> kBlocks = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr std::array<const char*, kLevels> kAscii = {"_", ".", ":", "-", "=", "+", "*", "#"};
constexpr size_t kMaxEvents = 3;
// Without a step for so many seconds, and for that of ten steps, a run is worth a look.
constexpr double kSilence = 30.0;
// Of a layer's line, before the bars of its experts.
constexpr int kLayerColumns = 47;

// Puts text together line by line, each cut to the width of the screen.
class Lines {
 public:
  explicit Lines(const ScreenOptions& options) : options_(options) {}

  enum class Style { kPlain, kBold, kDim, kWarning };

  // A new line.
  void Begin() {
    lines_.emplace_back();
    used_ = 0;
  }
  // Appends to it what fits. REQUIRES: every character of `text` takes one place.
  void Add(std::string_view text, Style style = Style::kPlain) {
    const std::string cut = Cut(text);
    if (cut.empty()) return;
    const bool styled = options_.colour && style != Style::kPlain;
    lines_.back() += styled ? absl::StrCat(Escape(style), cut, "\x1b[0m") : cut;
  }
  // A bar of the level 0 .. 1.
  void AddBar(double level) {
    const int index = std::clamp(static_cast<int>(std::floor(level * kLevels)), 0, kLevels - 1);
    Add((options_.unicode ? kBlocks : kAscii)[static_cast<size_t>(index)]);
  }
  int left() const { return options_.columns - used_; }
  int rows_left() const { return options_.rows - static_cast<int>(lines_.size()); }
  std::vector<std::string> Take() { return std::move(lines_); }

 private:
  static const char* Escape(Style style) {
    switch (style) {
      case Style::kBold:
        return "\x1b[1m";
      case Style::kDim:
        return "\x1b[2m";
      default:
        return "\x1b[33m";
    }
  }

  // The first characters of `text` that fit; what may not go to a terminal becomes '?'.
  std::string Cut(std::string_view text) {
    std::string cut;
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      const bool continues = (byte & 0xc0u) == 0x80u;
      if (!continues && used_ >= options_.columns) break;
      if (!continues) ++used_;
      cut += byte < 0x20 || byte == 0x7f ? '?' : c;
    }
    return cut;
  }

  const ScreenOptions& options_;
  std::vector<std::string> lines_;
  int used_ = 0;
};

using Style = Lines::Style;

// `value` with so many decimals in at most `width` places: with fewer, or as 1e+30, where it is too
// wide. REQUIRES: width >= 5.
std::string Fit(double value, int width, int decimals) {
  if (std::isnan(value)) return "nan";
  std::string text;
  for (; decimals >= 0; --decimals) {
    text = absl::StrFormat("%.*f", decimals, value);
    if (static_cast<int>(text.size()) <= width) return text;
  }
  text = absl::StrFormat("%.0e", value);
  return static_cast<int>(text.size()) <= width ? text : value > 0.0 ? "huge" : "-huge";
}

std::string Percent(double share) { return absl::StrCat(Fit(100.0 * share, 5, 1), "%"); }

double MeanOf(const std::deque<double>& values, size_t last) {
  const size_t count = std::min(last, values.size());
  double sum = 0.0;
  for (size_t i = values.size() - count; i < values.size(); ++i) sum += values[i];
  return count == 0 ? 0.0 : sum / static_cast<double>(count);
}

// The newest values that fit, from the least to the greatest of them.
void AddSparkline(const std::deque<double>& values, int columns, Lines& lines) {
  const size_t count = std::min(values.size(), static_cast<size_t>(std::max(columns, 0)));
  if (count == 0) return;
  const auto begin = values.end() - static_cast<std::ptrdiff_t>(count);
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (auto value = begin; value != values.end(); ++value) {
    if (!std::isfinite(*value)) continue;
    low = std::min(low, *value);
    high = std::max(high, *value);
  }
  for (auto value = begin; value != values.end(); ++value) {
    if (!std::isfinite(*value)) {
      lines.Add("!", Lines::Style::kWarning);
    } else {
      // Halves: the difference of two huge numbers may be none.
      lines.AddBar(high > low ? (*value / 2 - low / 2) / (high / 2 - low / 2) * 0.999 : 0.5);
    }
  }
}

void AddHeading(const RunNow& run, Lines& lines) {
  lines.Begin();
  lines.Add(run.name, Style::kBold);
  const bool is_well = run.state == "running" || run.state == "finished";
  lines.Add(absl::StrCat("  ", run.state.empty() ? "state unknown" : run.state),
            is_well ? Style::kPlain : Style::kWarning);
  const int64_t step = std::max<int64_t>(run.row.step, 0);
  lines.Add(absl::StrCat("  step ", step));
  if (run.total_steps > 0) {
    lines.Add(absl::StrCat("/", run.total_steps, " (", 100 * step / run.total_steps, "%)"));
  }
  const double seconds = MeanOf(run.step_seconds, 20);
  if (run.state == "running" && run.total_steps > step && seconds > 0.0) {
    lines.Add(absl::StrCat("  ETA ",
                           FormatDuration(seconds * static_cast<double>(run.total_steps - step))));
  }
  if (std::isfinite(run.row.tokens))
    lines.Add(absl::StrCat("  ", FormatCount(run.row.tokens), " tokens"));
  const double silence = absl::ToDoubleSeconds(run.silence);
  if (run.state == "running" && silence > std::max(kSilence, 10.0 * seconds)) {
    lines.Add(absl::StrCat("  no step for ", FormatDuration(silence)), Style::kWarning);
  }
  if (run.reason.empty()) return;
  lines.Begin();
  lines.Add(run.reason, Style::kWarning);
}

void AddLoss(const RunNow& run, Lines& lines) {
  lines.Begin();
  lines.Add("loss  ", Style::kDim);
  const bool is_finite = std::isfinite(run.row.cross_entropy);
  lines.Add(absl::StrFormat("%-9s", Fit(run.row.cross_entropy, 8, 4)),
            is_finite ? Style::kBold : Style::kWarning);
  std::string validation;
  if (run.validation_step >= 0) {
    validation = absl::StrCat("  validation ", Fit(run.validation.loss, 8, 4));
    if (std::isfinite(run.validation.bits_per_byte)) {
      absl::StrAppend(&validation, ", ", Fit(run.validation.bits_per_byte, 7, 3), " bits/byte");
    }
    absl::StrAppend(&validation, ", step ", run.validation_step);
  }
  AddSparkline(run.losses, lines.left() - static_cast<int>(validation.size()), lines);
  lines.Add(validation);
}

void AddSpeed(const RunNow& run, Lines& lines) {
  lines.Begin();
  lines.Add("tok/s ", Style::kDim);
  lines.Add(absl::StrFormat("%-9s", FormatCount(run.row.tokens_per_second)), Style::kBold);
  const std::string rest =
      absl::StrFormat("  %s s/step  lr %.1e  gradient norm %.3g", Fit(run.row.step_seconds, 9, 3),
                      run.row.learning_rate, run.row.gradient_norm);
  AddSparkline(run.speeds, lines.left() - static_cast<int>(rest.size()), lines);
  lines.Add(rest);
}

void AddTime(const RunNow& run, Lines& lines) {
  const double total = std::accumulate(run.row.time.begin(), run.row.time.end(), 0.0);
  if (!run.row.has_time || total <= 0.0) return;
  lines.Begin();
  lines.Add("time  ", Style::kDim);
  for (int i = 0; i < kNumPhases; ++i) {
    const double share = run.row.time[static_cast<size_t>(i)] / total;
    if (share < 0.005) continue;
    const std::string text =
        absl::StrFormat("%s %.0f%%  ", std::string(Name(static_cast<Phase>(i))), 100.0 * share);
    // Rather none than half of one.
    if (static_cast<int>(text.size()) - 2 <= lines.left()) lines.Add(text);
  }
}

// Of the ranks that share the experts, over all layers.
struct RankLoad {
  size_t busiest = 0;
  double over_mean = 0.0;
};
RankLoad SumRanks(const std::vector<LayerRow>& layers) {
  std::vector<double> loads;
  for (const LayerRow& layer : layers) {
    loads.resize(std::max(loads.size(), layer.rank_loads.size()));
    for (size_t r = 0; r < layer.rank_loads.size(); ++r) {
      loads[r] += static_cast<double>(layer.rank_loads[r]);
    }
  }
  RankLoad result;
  const double total = std::accumulate(loads.begin(), loads.end(), 0.0);
  if (loads.size() < 2 || total <= 0.0) return result;
  const auto busiest = std::max_element(loads.begin(), loads.end());
  result.busiest = static_cast<size_t>(busiest - loads.begin());
  result.over_mean = *busiest * static_cast<double>(loads.size()) / total;
  return result;
}

// MFU and what it is lost to: ranks that wait for the busiest one, and the exchange.
void AddEfficiency(const RunNow& run, Lines& lines) {
  const MetricsRow& row = run.row;
  if (row.layers.empty() && !std::isfinite(row.mfu)) return;
  lines.Begin();
  lines.Add("MFU   ", Style::kDim);
  lines.Add(absl::StrFormat("%-9s", std::isfinite(row.mfu) ? Percent(row.mfu) : "-"), Style::kBold);
  if (row.has_time && row.step_seconds > 0.0) {
    const double exchange = row.time[static_cast<size_t>(Phase::kDispatch)] +
                            row.time[static_cast<size_t>(Phase::kCombine)];
    lines.Add(absl::StrCat("exchange ", Percent(exchange / row.step_seconds), "  "));
  }
  const RankLoad rank = SumRanks(row.layers);
  if (rank.over_mean > 0.0) {
    lines.Add(absl::StrFormat("busiest rank %d: %sx  ", rank.busiest, Fit(rank.over_mean, 6, 2)));
  }
  double local = 0.0;
  for (const LayerRow& layer : row.layers) local += layer.node_share;
  local /= static_cast<double>(std::max<size_t>(row.layers.size(), 1));
  if (std::isfinite(local) && !row.layers.empty()) {
    lines.Add(absl::StrCat("on its node ", Percent(local)));
  }
}

// A bar for each expert, half high for an even share; the busiest of neighbours where there is not
// room for all.
void AddExperts(std::span<const int64_t> counts, Lines& lines) {
  const double total =
      static_cast<double>(std::accumulate(counts.begin(), counts.end(), int64_t{0}));
  const int room = lines.left();
  if (total <= 0.0 || room < 4) return;
  const size_t bars = std::min(counts.size(), static_cast<size_t>(room));
  for (size_t bar = 0; bar < bars; ++bar) {
    const size_t begin = bar * counts.size() / bars;
    const size_t end = (bar + 1) * counts.size() / bars;
    const int64_t most = *std::max_element(counts.begin() + static_cast<std::ptrdiff_t>(begin),
                                           counts.begin() + static_cast<std::ptrdiff_t>(end));
    const double ratio = static_cast<double>(most) * static_cast<double>(counts.size()) / total;
    lines.AddBar(ratio / 2.0 * 0.999);
  }
}

void AddLayer(const LayerRow& layer, Lines& lines) {
  lines.Begin();
  lines.Add(absl::StrFormat("%5d", layer.layer));
  const auto column = [](double value, int decimals) {
    return absl::StrFormat("%5s", Fit(value, 5, decimals));
  };
  const bool uneven = layer.gini > 3.0 * layer.floor_gini && layer.max_over_mean > 1.5;
  lines.Add(absl::StrCat("  ", column(layer.gini, 3), " ", column(layer.floor_gini, 3), "  ",
                         column(layer.max_over_mean, 2), " ", column(layer.floor_max_over_mean, 2)),
            uneven ? Style::kWarning : Style::kPlain);
  lines.Add(absl::StrCat(" ", column(layer.dead, 0)),
            layer.dead > 0.0 ? Style::kWarning : Style::kPlain);
  lines.Add(absl::StrCat("  ", column(100.0 * layer.dropped_share, 1), "%  "),
            layer.dropped_share > 0.0 ? Style::kWarning : Style::kPlain);
  AddExperts(layer.counts, lines);
}

// The layers that there is room for, the least even ones if not for all.
void AddLayers(const RunNow& run, int rows, Lines& lines) {
  if (run.row.layers.empty() || rows < 2) return;
  lines.Begin();
  lines.Add(
      absl::StrFormat("%-*s", kLayerColumns, "layer   gini chance   max  chance  dead   drop"),
      Style::kDim);
  lines.Add("load by expert", Style::kDim);
  std::vector<const LayerRow*> layers;
  for (const LayerRow& layer : run.row.layers) layers.push_back(&layer);
  const auto room = static_cast<size_t>(rows - 1);
  if (layers.size() > room) {
    std::stable_sort(layers.begin(), layers.end(),
                     [](const LayerRow* a, const LayerRow* b) { return a->gini > b->gini; });
  }
  const size_t shown = layers.size() > room ? room - 1 : layers.size();
  for (size_t i = 0; i < shown; ++i) AddLayer(*layers[i], lines);
  if (shown == layers.size()) return;
  lines.Begin();
  lines.Add(absl::StrCat("      and ", layers.size() - shown, " layers that are more even"),
            Style::kDim);
}

void AddEvents(const RunNow& run, size_t count, Lines& lines) {
  for (size_t i = run.events.size() - count; i < run.events.size(); ++i) {
    const HistoryEvent& event = run.events[i];
    lines.Begin();
    lines.Add(absl::StrCat(event.event, " at step ", event.step, ": ", event.text),
              Style::kWarning);
  }
}

}  // namespace

std::vector<std::string> DrawScreen(const RunNow& run, const ScreenOptions& options) {
  Lines lines(options);
  AddHeading(run, lines);
  if (run.row.step < 0) {
    lines.Begin();
    lines.Add("no step has finished yet");
  } else {
    AddLoss(run, lines);
    AddSpeed(run, lines);
    AddEfficiency(run, lines);
    AddTime(run, lines);
  }
  const size_t events = std::min(kMaxEvents, run.events.size());
  AddLayers(run, lines.rows_left() - static_cast<int>(events), lines);
  AddEvents(run, events, lines);
  std::vector<std::string> text = lines.Take();
  if (text.size() > static_cast<size_t>(std::max(options.rows, 1))) {
    text.resize(static_cast<size_t>(std::max(options.rows, 1)));
  }
  return text;
}

}  // namespace equipoise::launcher
