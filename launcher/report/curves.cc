#include "launcher/report/curves.h"

#include "absl/strings/str_cat.h"

namespace equipoise::launcher {

Curve MakeCurve(const std::string& name, const Series& series, int style) {
  Curve curve;
  curve.name = name;
  curve.points = series.Points();
  curve.style = style;
  return curve;
}

std::vector<Mark> MarksOf(const std::vector<RunHistory>& runs) {
  std::vector<Mark> marks;
  if (runs.size() != 1) return marks;
  for (const HistoryEvent& event : runs[0].events) {
    const bool is_restart = event.event == "start" && event.step > 0;
    if (is_restart || event.event == "warning") {
      marks.push_back({static_cast<double>(event.step),
                       absl::StrCat(event.event, " at step ", event.step, ": ", event.text)});
    }
  }
  return marks;
}

std::string BucketNote(const Series& series) {
  if (series.steps_per_bucket() == 1) return "";
  return absl::StrCat("A point stands for ", series.steps_per_bucket(),
                      " steps; the band keeps their extremes.");
}

std::string DrawFigureOfRuns(const std::vector<RunHistory>& runs, const FigureOfRuns& figure) {
  LineChart chart;
  chart.text = {figure.id, figure.title, "", figure.note};
  chart.x_label = "step";
  chart.y_label = figure.y_label;
  chart.marks = MarksOf(runs);
  for (size_t i = 0; i < runs.size(); ++i) {
    const Series& series = figure.series(runs[i]);
    if (series.empty()) continue;
    const std::string& name = runs.size() == 1 ? figure.y_label : runs[i].name;
    chart.curves.push_back(MakeCurve(name, series, static_cast<int>(i)));
    const std::string note = BucketNote(series);
    if (chart.text.note.empty()) chart.text.note = note;
    absl::StrAppend(&chart.text.summary, runs[i].name, " ends at ", absl::StrCat(series.last()),
                    ". ");
  }
  // A curve has no mark for a step that is not on the axis.
  return chart.curves.empty() ? "" : DrawLineChart(chart);
}

}  // namespace equipoise::launcher
