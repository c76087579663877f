#include "launcher/chart/line_chart.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "launcher/chart/markup.h"

namespace equipoise::launcher {
namespace {

constexpr size_t kTableRows = 12;

class Plot {
 public:
  Plot(const PlotArea& area, const LineChart& chart)
      : area_(area), x_(MakeX(area, chart)), y_(MakeY(area, chart)), chart_(chart) {}

  std::string Draw() const {
    std::string svg = DrawAxes(area_, x_, y_, chart_.x_label, chart_.y_label);
    for (const Mark& mark : chart_.marks) absl::StrAppend(&svg, DrawMark(mark));
    for (const Curve& curve : chart_.curves) absl::StrAppend(&svg, DrawBand(curve));
    for (const Curve& curve : chart_.curves) absl::StrAppend(&svg, DrawCurve(curve));
    return svg;
  }

 private:
  static Scale MakeX(const PlotArea& area, const LineChart& chart) {
    Range range;
    for (const Curve& curve : chart.curves) {
      for (const CurvePoint& point : curve.points) range.Include(point.x);
    }
    if (range.empty() || range.low() == range.high()) {
      return Scale::Linear(range, area.x_start(), area.x_end());
    }
    return Scale::Exact(range.low(), range.high(), area.x_start(), area.x_end());
  }

  static Scale MakeY(const PlotArea& area, const LineChart& chart) {
    Range range;
    for (const Curve& curve : chart.curves) {
      for (const CurvePoint& point : curve.points) {
        range.Include(point.low);
        range.Include(point.high);
      }
    }
    if (chart.include.has_value()) range.Include(*chart.include);
    const bool logarithmic = chart.logarithmic && !range.empty() && range.low() > 0.0;
    return logarithmic ? Scale::Logarithmic(range, area.y_start(), area.y_end())
                       : Scale::Linear(range, area.y_start(), area.y_end());
  }

  std::string At(double x, double y) const {
    return absl::StrCat(Coordinate(x_(x)), " ", Coordinate(y_(y)));
  }

  std::string DrawMark(const Mark& mark) const {
    return absl::StrCat("<path class=\"mark\" d=\"M", Coordinate(x_(mark.x)), " ",
                        Coordinate(area_.y_start()), "V", Coordinate(area_.y_end()), "\"><title>",
                        EscapeMarkup(mark.text), "</title></path>");
  }

  // The area between the least and the greatest values, in pieces where a gap is; nothing where no
  // point stands for several.
  std::string DrawBand(const Curve& curve) const {
    const auto is_many = [](const CurvePoint& p) { return p.high > p.low; };
    if (std::none_of(curve.points.begin(), curve.points.end(), is_many)) return "";
    std::string path;
    std::string there;
    std::string back;
    const auto close = [&] {
      if (!there.empty()) absl::StrAppend(&path, there, back, "Z");
      there.clear();
      back.clear();
    };
    for (const CurvePoint& point : curve.points) {
      if (!IsDrawn(point)) {
        close();
        continue;
      }
      absl::StrAppend(&there, there.empty() ? "M" : "L", At(point.x, point.high));
      back = absl::StrCat("L", At(point.x, point.low), back);
    }
    close();
    return absl::StrCat("<path class=\"b", curve.style % kNumStyles, "\" d=\"", path, "\"/>");
  }

  static bool IsDrawn(const CurvePoint& point) {
    return std::isfinite(point.y) && std::isfinite(point.low) && std::isfinite(point.high);
  }

  // A point without a neighbour makes no line: it gets a dot.
  static bool IsAlone(const Curve& curve, size_t i) {
    return (i == 0 || !IsDrawn(curve.points[i - 1])) &&
           (i + 1 == curve.points.size() || !IsDrawn(curve.points[i + 1]));
  }

  std::string DrawCurve(const Curve& curve) const {
    std::string path;
    std::string dots;
    bool pen_down = false;
    for (size_t i = 0; i < curve.points.size(); ++i) {
      const CurvePoint& point = curve.points[i];
      if (!IsDrawn(point)) {
        pen_down = false;
        continue;
      }
      absl::StrAppend(&path, pen_down ? "L" : "M", At(point.x, point.y));
      pen_down = true;
      if (curve.dots || IsAlone(curve, i)) absl::StrAppend(&dots, DrawDot(curve, point));
    }
    return absl::StrCat("<path class=\"s", curve.style % kNumStyles, curve.dashed ? " dashed" : "",
                        "\" d=\"", path, "\"/>", dots);
  }

  std::string DrawDot(const Curve& curve, const CurvePoint& point) const {
    return absl::StrCat("<circle class=\"f", curve.style % kNumStyles, "\" cx=\"",
                        Coordinate(x_(point.x)), "\" cy=\"", Coordinate(y_(point.y)),
                        "\" r=\"3.5\"><title>", EscapeMarkup(curve.name), ": ",
                        FormatFigure(point.y), " at ", FormatFigure(point.x), "</title></circle>");
  }

  const PlotArea& area_;
  const Scale x_;
  const Scale y_;
  const LineChart& chart_;
};

// The usual distance between neighbours; 0 for fewer than two points.
double SpacingOf(const Curve& curve) {
  std::vector<double> gaps;
  for (size_t i = 1; i < curve.points.size(); ++i) {
    gaps.push_back(curve.points[i].x - curve.points[i - 1].x);
  }
  if (gaps.empty()) return 0.0;
  const auto middle = gaps.begin() + static_cast<std::ptrdiff_t>(gaps.size() / 2);
  std::nth_element(gaps.begin(), middle, gaps.end());
  return *middle;
}

// What `curve` has at `x` in a table whose rows stand for `row_spacing` each: its nearest point, if
// it stands for this `x` too. Empty where the curve has no value: before its start, after its end,
// in a gap.
std::string CellAt(const Curve& curve, double x, double spacing, double row_spacing) {
  const auto nearest = std::min_element(curve.points.begin(), curve.points.end(),
                                        [&](const CurvePoint& a, const CurvePoint& b) {
                                          return std::abs(a.x - x) < std::abs(b.x - x);
                                        });
  if (nearest == curve.points.end() || !std::isfinite(nearest->y)) return "";
  const bool is_beside = x < curve.points.front().x || x > curve.points.back().x;
  const double reach = is_beside ? std::min(spacing, row_spacing) : std::max(spacing, row_spacing);
  return std::abs(nearest->x - x) <= 0.5 * reach ? FormatFigure(nearest->y) : "";
}

// About a dozen rows of the longest curve's points, and what the other curves have there.
std::string TableOf(const LineChart& chart) {
  const auto longest = std::max_element(
      chart.curves.begin(), chart.curves.end(),
      [](const Curve& a, const Curve& b) { return a.points.size() < b.points.size(); });
  if (longest == chart.curves.end() || longest->points.empty()) return "";
  std::vector<std::vector<std::string>> rows = {{chart.x_label}};
  std::vector<double> spacings;
  for (const Curve& curve : chart.curves) {
    rows[0].push_back(curve.name);
    spacings.push_back(SpacingOf(curve));
  }
  const double row_spacing = SpacingOf(*longest);
  const size_t count = std::min(kTableRows, longest->points.size());
  for (size_t i = 0; i < count; ++i) {
    const size_t index = count < 2 ? 0 : i * (longest->points.size() - 1) / (count - 1);
    const double x = longest->points[index].x;
    std::vector<std::string>& row = rows.emplace_back();
    row.push_back(FormatFigure(x));
    for (size_t c = 0; c < chart.curves.size(); ++c) {
      row.push_back(CellAt(chart.curves[c], x, spacings[c], row_spacing));
    }
  }
  return FoldedTable(rows);
}

}  // namespace

std::string DrawLineChart(const LineChart& chart) {
  std::vector<LegendEntry> entries;
  const bool is_plain = chart.curves.size() == 1 && chart.curves[0].name == chart.y_label;
  for (const Curve& curve : chart.curves) {
    if (is_plain) break;  // the axis says what it is
    entries.push_back({curve.name, curve.style,
                       curve.dashed ? LegendEntry::Mark::kDashed
                       : curve.dots ? LegendEntry::Mark::kDot
                                    : LegendEntry::Mark::kLine});
  }
  const PlotArea area;
  return FrameChart(chart.text, area, Plot(area, chart).Draw(), Legend(entries), TableOf(chart));
}

}  // namespace equipoise::launcher
