#include "launcher/chart/timeline_chart.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "launcher/chart/markup.h"
#include "launcher/chart/scale.h"

namespace equipoise::launcher {
namespace {

constexpr double kLaneHeight = 30;
constexpr double kStrokeHeight = 18;
// Strokes closer than this cannot be told apart; the first of them stands for all.
constexpr double kLeastDistance = 0.7;

std::string DrawLane(const TimelineChart::Lane& lane, int style, const Scale& x, double y) {
  std::string svg;
  double last = -1e9;
  for (const Mark& mark : lane.marks) {
    const double at = x(mark.x);
    if (at - last < kLeastDistance) continue;
    last = at;
    absl::StrAppend(&svg, "<path class=\"stroke s", style, "\" d=\"M", Coordinate(at), " ",
                    Coordinate(y - kStrokeHeight / 2), "V", Coordinate(y + kStrokeHeight / 2),
                    "\"><title>", EscapeMarkup(mark.text), "</title></path>");
  }
  return svg;
}

}  // namespace

std::string DrawTimeline(const TimelineChart& chart) {
  PlotArea area;
  area.left = 124;
  area.height = area.top + area.bottom + kLaneHeight * static_cast<double>(chart.lanes.size());
  const Scale x = Scale::Exact(chart.x_low, std::max(chart.x_high, chart.x_low + 1.0),
                               area.x_start(), area.x_end());
  const Scale y =
      Scale::Exact(0.0, static_cast<double>(chart.lanes.size()), area.y_end(), area.y_start());
  std::string svg;
  for (const double tick : x.ticks()) {
    absl::StrAppend(&svg, "<path class=\"rule\" d=\"M", Coordinate(x(tick)), " ",
                    Coordinate(area.y_start()), "V", Coordinate(area.y_end()),
                    "\"/><text class=\"tick middle\" x=\"", Coordinate(x(tick)), "\" y=\"",
                    Coordinate(area.y_start() + 17), "\">", x.Label(tick), "</text>");
  }
  absl::StrAppend(&svg, "<text class=\"tick middle axis\" x=\"",
                  Coordinate((area.x_start() + area.x_end()) / 2), "\" y=\"",
                  Coordinate(area.height - 8), "\">", EscapeMarkup(chart.x_label), "</text>");
  for (size_t i = 0; i < chart.lanes.size(); ++i) {
    const double middle = y(static_cast<double>(i) + 0.5);
    absl::StrAppend(&svg, "<text class=\"tick end\" x=\"", Coordinate(area.left - 8), "\" y=\"",
                    Coordinate(middle + 4), "\">", EscapeMarkup(chart.lanes[i].name), "</text>",
                    DrawLane(chart.lanes[i], static_cast<int>(i) % kNumStyles, x, middle));
  }
  return FrameChart(chart.text, area, svg, "", "");
}

}  // namespace equipoise::launcher
