#ifndef EQUIPOISE_LAUNCHER_CHART_TIMELINE_CHART_H_
#define EQUIPOISE_LAUNCHER_CHART_TIMELINE_CHART_H_

#include <string>
#include <vector>

#include "launcher/chart/frame.h"
#include "launcher/chart/line_chart.h"

namespace equipoise::launcher {

// What happened when: a lane for each kind of event, a stroke for each event.
struct TimelineChart {
  ChartText text;
  std::string x_label;
  double x_low = 0.0;
  double x_high = 1.0;
  struct Lane {
    std::string name;
    std::vector<Mark> marks;
  };
  std::vector<Lane> lanes;
};

std::string DrawTimeline(const TimelineChart& chart);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CHART_TIMELINE_CHART_H_
