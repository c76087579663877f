#include "launcher/chart/stacked_chart.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "launcher/chart/markup.h"
#include "launcher/chart/scale.h"

namespace equipoise::launcher {
namespace {

constexpr double kBarHeight = 26;
constexpr double kBarDistance = 48;  // with its name above it

double SumOf(const StackedBars::Bar& bar) {
  return std::accumulate(bar.values.begin(), bar.values.end(), 0.0);
}

std::string DrawBar(const StackedBars& chart, const StackedBars::Bar& bar, const Scale& x,
                    double y) {
  std::string svg = absl::StrCat("<text class=\"tick start\" x=\"", Coordinate(x(0.0)), "\" y=\"",
                                 Coordinate(y - 5), "\">", EscapeMarkup(bar.name), "</text>");
  const double sum = SumOf(bar);
  double start = 0.0;
  for (size_t i = 0; i < bar.values.size(); ++i) {
    const double width = x(start + bar.values[i]) - x(start);
    if (width > 0.05) {
      absl::StrAppend(&svg, "<rect class=\"part f", i % kNumStyles, "\" x=\"", Coordinate(x(start)),
                      "\" y=\"", Coordinate(y), "\" width=\"", Coordinate(width), "\" height=\"",
                      Coordinate(kBarHeight), "\"><title>", EscapeMarkup(chart.parts[i]), ": ",
                      FormatFigure(bar.values[i]), " (",
                      absl::StrFormat("%.1f%%", sum > 0.0 ? 100.0 * bar.values[i] / sum : 0.0),
                      ")</title></rect>");
    }
    start += bar.values[i];
  }
  return svg;
}

std::string TableOf(const StackedBars& chart) {
  std::vector<std::vector<std::string>> rows = {{""}};
  for (const std::string& part : chart.parts) rows[0].push_back(part);
  for (const StackedBars::Bar& bar : chart.bars) {
    std::vector<std::string>& row = rows.emplace_back();
    row.push_back(bar.name);
    const double sum = SumOf(bar);
    for (const double value : bar.values) {
      row.push_back(absl::StrCat(FormatFigure(value), " (",
                                 absl::StrFormat("%.1f%%", sum > 0 ? 100.0 * value / sum : 0.0),
                                 ")"));
    }
  }
  return FoldedTable(rows);
}

}  // namespace

std::string DrawStackedBars(const StackedBars& chart) {
  PlotArea area;
  area.left = 12;
  area.top = 22;
  area.height = area.top + area.bottom + kBarDistance * static_cast<double>(chart.bars.size());
  Range range;
  range.Include(0.0);
  for (const StackedBars::Bar& bar : chart.bars) range.Include(SumOf(bar));
  const Scale x = Scale::Exact(0.0, std::max(range.high(), 1e-9), area.x_start(), area.x_end());
  std::string svg;
  for (const double tick : x.ticks()) {
    absl::StrAppend(&svg, "<text class=\"tick middle\" x=\"", Coordinate(x(tick)), "\" y=\"",
                    Coordinate(area.y_start() + 15), "\">", x.Label(tick), "</text>");
  }
  absl::StrAppend(&svg, "<text class=\"tick middle axis\" x=\"",
                  Coordinate((area.x_start() + area.x_end()) / 2), "\" y=\"",
                  Coordinate(area.height - 8), "\">", EscapeMarkup(chart.x_label), "</text>");
  std::vector<LegendEntry> entries;
  for (size_t i = 0; i < chart.parts.size(); ++i) {
    entries.push_back({chart.parts[i], static_cast<int>(i), LegendEntry::Mark::kBox});
  }
  for (size_t i = 0; i < chart.bars.size(); ++i) {
    absl::StrAppend(
        &svg, DrawBar(chart, chart.bars[i], x, area.top + kBarDistance * static_cast<double>(i)));
  }
  return FrameChart(chart.text, area, svg, Legend(entries), TableOf(chart));
}

}  // namespace equipoise::launcher
