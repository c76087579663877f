#ifndef EQUIPOISE_LAUNCHER_CHART_SCATTER_CHART_H_
#define EQUIPOISE_LAUNCHER_CHART_SCATTER_CHART_H_

#include <optional>
#include <string>
#include <vector>

#include "launcher/chart/frame.h"

namespace equipoise::launcher {

struct ScatterPoint {
  std::string name;
  std::string number;  // stands beside the dot; the page says elsewhere what it means
  double x = 0.0;
  double y = 0.0;
  // Half the width of the interval around each.
  std::optional<double> x_error;
  std::optional<double> y_error;
  bool highlighted = false;
};

struct ScatterChart {
  ChartText text;
  std::string x_label;
  std::string y_label;
  std::vector<ScatterPoint> points;
  std::string highlight_name;  // what highlighted points are, for the legend
  std::string other_name;
};

// Dots with crosses of their intervals; highlighted ones in another colour, filled.
std::string DrawScatterChart(const ScatterChart& chart);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CHART_SCATTER_CHART_H_
