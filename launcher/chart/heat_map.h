#ifndef EQUIPOISE_LAUNCHER_CHART_HEAT_MAP_H_
#define EQUIPOISE_LAUNCHER_CHART_HEAT_MAP_H_

#include <string>
#include <vector>

#include "launcher/chart/frame.h"

namespace equipoise::launcher {

// A field of ratios to an even share: 1 is even. Colours run over log2 from a quarter (blue) to
// four times (red), which people who confuse red and green tell apart; what lies beyond has the
// last colour. A NaN is left empty.
struct HeatMap {
  ChartText text;
  std::string x_label;
  std::string y_label;
  int rows = 0;
  int columns = 0;
  std::vector<double> ratios;  // [rows, columns], the first row on top
  // The horizontal axis runs over this interval, if the columns are no categories.
  double x_low = 0.0;
  double x_high = 0.0;
  // Names of rows, or none: then they are numbered from 0.
  std::vector<std::string> row_names;
  // What is written into the cells [rows * columns]; empty: the ratios.
  std::vector<std::string> cells;
  // The numbers behind the picture, for who does not see it; the first row is the heading.
  std::vector<std::vector<std::string>> table;
};

// One picture for the light page and one for the dark; numbers are written into cells where there
// is room for them.
std::string DrawHeatMap(const HeatMap& map);

// The scale of colours of all heat maps, to be shown once beside them.
std::string HeatMapKey();

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CHART_HEAT_MAP_H_
