#ifndef EQUIPOISE_LAUNCHER_CHART_STACKED_CHART_H_
#define EQUIPOISE_LAUNCHER_CHART_STACKED_CHART_H_

#include <string>
#include <vector>

#include "launcher/chart/frame.h"

namespace equipoise::launcher {

// How wholes are divided into the same parts.
struct StackedBars {
  ChartText text;
  std::string x_label;
  std::vector<std::string> parts;
  struct Bar {
    std::string name;
    std::vector<double> values;  // one a part, none negative
  };
  std::vector<Bar> bars;
};

// Bars to the right, the first on top, each as long as its values' sum. Parts are told apart by
// colour, their order, and the text of each.
std::string DrawStackedBars(const StackedBars& chart);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CHART_STACKED_CHART_H_
