#ifndef EQUIPOISE_LAUNCHER_CHART_FRAME_H_
#define EQUIPOISE_LAUNCHER_CHART_FRAME_H_

#include <string>
#include <vector>

#include "launcher/chart/scale.h"

// Charts are figures of HTML with an SVG picture inside: nothing moves, nothing is loaded, and
// every colour is a class of the page's style sheet (launcher/report/style.h), so that light and
// dark are one text. All functions return such markup.

namespace equipoise::launcher {

// Classes s0 .. s8 of the style sheet; a chart with more series starts over.
inline constexpr int kNumStyles = 9;

// The part of a picture where values are drawn, in units of the picture: narrow, so that text stays
// readable when a phone shows the whole width.
struct PlotArea {
  double width = 460;
  double height = 260;
  double left = 80;
  double top = 14;
  double right = 20;
  double bottom = 44;

  double x_start() const { return left; }
  double x_end() const { return width - right; }
  double y_start() const { return height - bottom; }  // of the smallest value
  double y_end() const { return top; }
};

// Ticks, grid and the axes' names.
std::string DrawAxes(const PlotArea& area, const Scale& x, const Scale& y,
                     const std::string& x_label, const std::string& y_label);

// One entry of a legend.
struct LegendEntry {
  std::string name;
  int style = 0;
  enum class Mark { kLine, kDashed, kBox, kDot } mark = Mark::kLine;
};
std::string Legend(const std::vector<LegendEntry>& entries);

// What all charts have around their picture.
struct ChartText {
  std::string id;  // of the figure; unique on the page
  std::string title;
  std::string summary;  // for who cannot see the picture: what it shows, in a sentence
  std::string note;     // small print below; may be empty
};
// `drawing`: SVG elements. `legend` and `table`: HTML, or empty.
std::string FrameChart(const ChartText& text, const PlotArea& area, const std::string& drawing,
                       const std::string& legend, const std::string& table);

// A table, folded away behind the word "Numbers". The first row is the heading.
std::string FoldedTable(const std::vector<std::vector<std::string>>& rows);
// The same, in full view.
std::string HtmlTable(const std::vector<std::vector<std::string>>& rows);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CHART_FRAME_H_
