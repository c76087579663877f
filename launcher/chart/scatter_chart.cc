#include "launcher/chart/scatter_chart.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "launcher/chart/markup.h"
#include "launcher/chart/scale.h"

namespace equipoise::launcher {
namespace {

constexpr int kHighlightStyle = 1;
constexpr int kOtherStyle = 0;

std::string DrawPoint(const ScatterPoint& point, const Scale& x, const Scale& y) {
  const int style = point.highlighted ? kHighlightStyle : kOtherStyle;
  std::string bars;
  if (point.x_error.has_value()) {
    absl::StrAppend(&bars, "M", Coordinate(x(point.x - *point.x_error)), " ",
                    Coordinate(y(point.y)), "H", Coordinate(x(point.x + *point.x_error)));
  }
  if (point.y_error.has_value()) {
    absl::StrAppend(&bars, "M", Coordinate(x(point.x)), " ",
                    Coordinate(y(point.y - *point.y_error)), "V",
                    Coordinate(y(point.y + *point.y_error)));
  }
  std::string svg;
  if (!bars.empty()) svg = absl::StrCat("<path class=\"error s", style, "\" d=\"", bars, "\"/>");
  absl::StrAppend(&svg, "<circle class=\"", point.highlighted ? "f" : "hollow s", style, "\" cx=\"",
                  Coordinate(x(point.x)), "\" cy=\"", Coordinate(y(point.y)), "\" r=\"5\"><title>",
                  EscapeMarkup(point.name), ": ", FormatFigure(point.x), ", ",
                  FormatFigure(point.y), "</title></circle>");
  absl::StrAppend(&svg, "<text class=\"tick start\" x=\"", Coordinate(x(point.x) + 7), "\" y=\"",
                  Coordinate(y(point.y) - 6), "\">", EscapeMarkup(point.number), "</text>");
  return svg;
}

}  // namespace

std::string DrawScatterChart(const ScatterChart& chart) {
  PlotArea area;
  area.right = 26;
  Range x_range;
  Range y_range;
  for (const ScatterPoint& point : chart.points) {
    for (const double sign : {-1.0, 1.0}) {
      x_range.Include(point.x + sign * point.x_error.value_or(0.0));
      y_range.Include(point.y + sign * point.y_error.value_or(0.0));
    }
  }
  const Scale x = Scale::Linear(x_range, area.x_start(), area.x_end());
  const Scale y = Scale::Linear(y_range, area.y_start(), area.y_end());
  std::string svg = DrawAxes(area, x, y, chart.x_label, chart.y_label);
  bool any_highlighted = false;
  bool any_other = false;
  for (const ScatterPoint& point : chart.points) {
    absl::StrAppend(&svg, DrawPoint(point, x, y));
    (point.highlighted ? any_highlighted : any_other) = true;
  }
  std::vector<LegendEntry> entries;
  if (any_highlighted) {
    entries.push_back({chart.highlight_name, kHighlightStyle, LegendEntry::Mark::kDot});
  }
  if (any_other) entries.push_back({chart.other_name, kOtherStyle, LegendEntry::Mark::kDot});
  return FrameChart(chart.text, area, svg, Legend(entries), "");
}

}  // namespace equipoise::launcher
