#ifndef EQUIPOISE_LAUNCHER_CHART_LINE_CHART_H_
#define EQUIPOISE_LAUNCHER_CHART_LINE_CHART_H_

#include <optional>
#include <string>
#include <vector>

#include "launcher/chart/frame.h"

namespace equipoise::launcher {

// A point of a curve, or what many points of it came to.
struct CurvePoint {
  double x = 0.0;
  double y = 0.0;    // their mean
  double low = 0.0;  // the least and the greatest of them: equal to y for one point
  double high = 0.0;
};

struct Curve {
  std::string name;
  std::vector<CurvePoint> points;  // by x
  int style = 0;
  bool dashed = false;  // for what others are held against, such as a floor
  bool dots = false;    // few points, each worth a dot
};

// Something that happened at an x.
struct Mark {
  double x = 0.0;
  std::string text;
};

struct LineChart {
  ChartText text;
  std::string x_label;
  std::string y_label;
  std::vector<Curve> curves;
  std::vector<Mark> marks;  // fine vertical lines
  bool logarithmic = false;
  std::optional<double> include;  // a value the vertical axis must have
};

// Curves with a band from the least to the greatest value where a point stands for several. A curve
// that is interrupted by a value that is not finite has a gap there.
std::string DrawLineChart(const LineChart& chart);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CHART_LINE_CHART_H_
