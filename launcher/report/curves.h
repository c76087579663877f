#ifndef EQUIPOISE_LAUNCHER_REPORT_CURVES_H_
#define EQUIPOISE_LAUNCHER_REPORT_CURVES_H_

#include <functional>
#include <string>
#include <vector>

#include "launcher/chart/line_chart.h"
#include "launcher/report/run_history.h"

namespace equipoise::launcher {

Curve MakeCurve(const std::string& name, const Series& series, int style);

// A chart of one figure: a curve for each run that has it, named after the run, or after the figure
// if there is one run only. Empty if no run has it.
struct FigureOfRuns {
  std::string id;
  std::string title;
  std::string y_label;
  std::string note;
  std::function<const Series&(const RunHistory&)> series;
};
std::string DrawFigureOfRuns(const std::vector<RunHistory>& runs, const FigureOfRuns& figure);

// Restarts and warnings of the run, for the charts of a single run.
std::vector<Mark> MarksOf(const std::vector<RunHistory>& runs);

// "a point is 32 steps" where it is more than one.
std::string BucketNote(const Series& series);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_REPORT_CURVES_H_
