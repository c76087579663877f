#include "launcher/report/sweep_sections.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "core/io/file_system.h"
#include "launcher/chart/markup.h"
#include "launcher/chart/scatter_chart.h"
#include "launcher/report/curves.h"
#include "launcher/report/run_history.h"
#include "launcher/sweep/sweep_report.h"
#include "launcher/sweep/trial_store.h"

namespace equipoise::launcher {
namespace {

// More curves than this cannot be told apart: two of each colour, one of them dashed.
constexpr size_t kMaxCurves = 2 * kNumStyles;

struct Sweep {
  SweepReport report;
  std::string prefix;
  // A run for each of the first points, to draw its curves from.
  std::vector<RunHistory> runs;
};

std::string PointName(const SweepReport& report, size_t index) {
  const ReportedPoint& point = report.points[index];
  std::vector<std::string> texts;
  for (size_t i = 0; i < point.labels.size(); ++i) {
    texts.push_back(absl::StrCat(report.point_axes[i], "=", point.labels[i]));
  }
  return texts.empty() ? "all trials" : absl::StrJoin(texts, " ");
}

std::string NumberedName(const SweepReport& report, size_t index) {
  return absl::StrCat(index + 1, ": ", PointName(report, index));
}

// The mean to the digit that the interval leaves certain, or one beyond.
std::string Interval(const std::optional<MeanInterval>& value) {
  if (!value.has_value()) return "";
  const double half = value->half_width.value_or(0.0);
  // What seeds do not change differs by rounding at most.
  if (half <= std::abs(value->mean) * 1e-9) return FormatFigure(value->mean);
  if (std::abs(value->mean) >= 1e4) {
    return absl::StrCat(FormatFigure(value->mean), " ± ",
                        FormatFigure(std::stod(absl::StrFormat("%.1e", half))));
  }
  const int digits = std::clamp(static_cast<int>(std::ceil(1.0 - std::log10(half))), 0, 6);
  return absl::StrFormat("%.*f ± %.*f", digits, value->mean, digits, half);
}

std::string PointTable(const SweepReport& report) {
  std::vector<std::pair<Figure, std::string>> columns;
  const auto add = [&](const std::optional<Figure>& figure, const char* title) {
    if (figure.has_value()) columns.emplace_back(*figure, title);
  };
  add(report.loss, report.loss == Figure::kValidationLoss ? "validation loss" : "training loss");
  add(Figure::kBitsPerByte, "bits per byte");
  const bool held_out = report.balance == Figure::kHeldOutGiniMean;
  add(report.balance,
      held_out ? "held-out Gini, mean of layers" : "Gini, training, mean of layers");
  add(held_out ? Figure::kHeldOutGiniFloor : Figure::kGiniFloor,
      held_out ? "held-out Gini by chance" : "Gini, training, by chance");
  add(Figure::kMaxOverMeanWorst, "busiest / mean, training, worst layer");
  add(report.time, "tokens a second");
  add(Figure::kRouteShare, "router's share of time");
  add(Figure::kExchangeShare, "exchange's share");
  add(report.bytes, "bytes sent a token");
  // What no trial has is no column.
  std::erase_if(columns, [&](const auto& column) {
    return std::none_of(
        report.points.begin(), report.points.end(),
        [&](const ReportedPoint& point) { return point[column.first].has_value(); });
  });
  std::vector<std::vector<std::string>> rows = {{"", "point", "finished", "frontier"}};
  for (const auto& [figure, title] : columns) rows[0].push_back(title);
  for (size_t i = 0; i < report.points.size(); ++i) {
    const ReportedPoint& point = report.points[i];
    std::vector<std::string> row = {
        absl::StrCat(i + 1), PointName(report, i),
        absl::StrCat(point.num_finished, "/", point.num_trials),
        absl::StrCat(point.on_frontier ? "●" : "", point.is_best ? " best" : "")};
    for (const auto& [figure, title] : columns) row.push_back(Interval(point[figure]));
    rows.push_back(std::move(row));
  }
  return absl::StrCat("<div class=\"card\">", HtmlTable(rows), "</div>\n");
}

const char* AxisName(Figure figure) {
  switch (figure) {
    case Figure::kValidationLoss:
      return "validation loss, nats per token";
    case Figure::kTrainingLoss:
      return "training loss, nats per token";
    case Figure::kHeldOutGiniMean:
      return "held-out Gini, mean of layers";
    case Figure::kGiniMean:
      return "Gini, mean of layers";
    case Figure::kTokensPerSecond:
      return "tokens a second";
    case Figure::kBytesPerToken:
      return "bytes sent a token";
    default:
      return Name(figure);
  }
}

std::string ParetoChart(const Sweep& sweep, const char* id, const std::optional<Figure>& x,
                        const std::optional<Figure>& y, const char* title) {
  if (!x.has_value() || !y.has_value()) return "";
  ScatterChart chart;
  chart.text = {
      absl::StrCat(sweep.prefix, id), title, "",
      "Crosses are 95 % confidence intervals over seeds; numbers are the table's rows. The "
      "frontier is of loss, balance, speed and bytes together."};
  chart.x_label = AxisName(*x);
  chart.y_label = AxisName(*y);
  chart.highlight_name = "on the Pareto frontier";
  chart.other_name = "beaten: another is as good in all, better in one";
  for (size_t i = 0; i < sweep.report.points.size(); ++i) {
    const ReportedPoint& point = sweep.report.points[i];
    if (!point[*x].has_value() || !point[*y].has_value()) continue;
    chart.points.push_back({NumberedName(sweep.report, i), absl::StrCat(i + 1), point[*x]->mean,
                            point[*y]->mean, point[*x]->half_width, point[*y]->half_width,
                            point.on_frontier});
    if (point.on_frontier) {
      absl::StrAppend(&chart.text.summary, NumberedName(sweep.report, i), " is on the frontier. ");
    }
  }
  return chart.points.empty() ? "" : DrawScatterChart(chart);
}

// Whether any trial sent something to another rank.
bool SendsBytes(const SweepReport& report) {
  return report.bytes.has_value() &&
         std::any_of(report.points.begin(), report.points.end(), [&](const ReportedPoint& point) {
           const auto& bytes = point[*report.bytes];
           return bytes.has_value() && bytes->mean > 0.0;
         });
}

std::string ParetoCharts(const Sweep& sweep) {
  const SweepReport& report = sweep.report;
  const std::string charts = absl::StrCat(
      ParetoChart(sweep, "chart-pareto-balance", report.balance, report.loss, "Loss and balance"),
      ParetoChart(sweep, "chart-pareto-time", report.time, report.loss, "Loss and speed"),
      ParetoChart(sweep, "chart-pareto-cost", report.time, report.balance, "Balance and speed"));
  if (charts.empty()) return Absent("No trial has finished yet.");
  if (!SendsBytes(report)) {
    return Grid(charts) + Absent(
                              "Bytes of the exchange: every trial ran on one rank, has no MoE "
                              "layers, or was made by an older version; nothing was sent.");
  }
  return Grid(absl::StrCat(
      charts, ParetoChart(sweep, "chart-pareto-bytes", report.bytes, report.loss, "Loss and bytes"),
      ParetoChart(sweep, "chart-pareto-traffic", report.bytes, report.time, "Speed and bytes")));
}

// The first trial of each point that has rows.
std::vector<RunHistory> ReadCurves(const TrialStore& store, const SweepReport& report, int window) {
  std::vector<RunHistory> runs;
  for (size_t i = 0; i < report.points.size() && runs.size() < kMaxCurves; ++i) {
    for (const ReportedTrial& trial : report.trials) {
      std::vector<std::string> labels;
      for (size_t axis = 0; axis < report.axes.size(); ++axis) {
        if (!report.axes[axis].is_seed) labels.push_back(trial.plan.labels[axis]);
      }
      if (labels != report.points[i].labels || trial.figures.num_steps() == 0) continue;
      absl::StatusOr<RunHistory> run = ReadRun(store.trial_path(trial.plan.id), window);
      if (!run.ok()) continue;
      run->name = NumberedName(report, i);
      runs.push_back(*std::move(run));
      break;
    }
  }
  return runs;
}

std::string CurveChart(const Sweep& sweep, const char* id, const char* title, const char* y_label,
                       const std::function<const Series&(const RunHistory&)>& series) {
  LineChart chart;
  chart.text = {absl::StrCat(sweep.prefix, id), title, "",
                "One trial of each point: its first seed."};
  if (sweep.runs.size() < sweep.report.points.size()) {
    absl::StrAppend(&chart.text.note, " ", sweep.runs.size(), " of ", sweep.report.points.size(),
                    " points.");
  }
  chart.x_label = "step";
  chart.y_label = y_label;
  for (size_t i = 0; i < sweep.runs.size(); ++i) {
    if (series(sweep.runs[i]).empty()) continue;
    chart.curves.push_back(
        MakeCurve(sweep.runs[i].name, series(sweep.runs[i]), static_cast<int>(i)));
    Curve& curve = chart.curves.back();
    curve.dashed = i >= kNumStyles;
    // A band for each of many curves would hide them all.
    for (CurvePoint& point : curve.points) point.low = point.high = point.y;
  }
  return chart.curves.empty() ? "" : DrawLineChart(chart);
}

// The trials that will not finish by themselves, and those whose result does not count.
std::string EndedEarly(const SweepReport& report) {
  std::string html;
  for (const ReportedTrial& trial : report.trials) {
    if (!trial.not_counted.empty()) {
      absl::StrAppend(&html, "<p class=\"absent warn\">Trial ", EscapeMarkup(trial.plan.id), " (",
                      EscapeMarkup(absl::StrJoin(trial.plan.labels, ", ")),
                      ") is not counted: ", EscapeMarkup(trial.not_counted), "</p>\n");
      continue;
    }
    const bool failed = trial.status.state == TrialState::kFailed;
    if (!failed && trial.status.state != TrialState::kStopped) continue;
    absl::StrAppend(&html, "<p class=\"absent warn\">Trial ", EscapeMarkup(trial.plan.id), " (",
                    EscapeMarkup(absl::StrJoin(trial.plan.labels, ", ")), ") ",
                    failed ? "failed: " : "stopped: ", EscapeMarkup(trial.status.reason), "</p>\n");
  }
  if (!report.earlier_trials.empty()) html += Absent(report.earlier_trials);
  return html;
}

}  // namespace

absl::StatusOr<std::vector<Section>> SweepSections(const std::string& path,
                                                   const std::string& prefix, int window) {
  const std::unique_ptr<FileSystem> files = NewPosixFileSystem();
  const TrialStore store(*files, path);
  Sweep sweep;
  EQ_ASSIGN_OR_RETURN(sweep.report, MakeSweepReport(store, window));
  const SweepReport& report = sweep.report;
  sweep.prefix = prefix;
  sweep.runs = ReadCurves(store, report, window);
  const std::string curves = absl::StrCat(
      CurveChart(sweep, "chart-curves-loss", "Cross entropy", "nats per token",
                 [](const RunHistory& run) -> const Series& { return run.cross_entropy; }),
      CurveChart(sweep, "chart-curves-gini", "Gini, worst layer", "Gini",
                 [](const RunHistory& run) -> const Series& { return run.gini.worst; }),
      CurveChart(sweep, "chart-curves-max", "Busiest expert over the mean, worst layer",
                 "busiest / mean",
                 [](const RunHistory& run) -> const Series& { return run.max_over_mean.worst; }));
  std::vector<Section> sections;
  sections.push_back({absl::StrCat(prefix, "points"), absl::StrCat("Sweep ", report.name),
                      absl::StrCat(EndedEarly(report), PointTable(report),
                                   Paragraph(absl::StrCat(
                                       "Means over the finished trials of a point ± half the 95 % ",
                                       "confidence interval over seeds (Student's t). Held-out: ",
                                       "balance at the last validation. Training: balance of the ",
                                       "last ", report.window, " steps together.")))});
  sections.push_back({absl::StrCat(prefix, "pareto"), "Pareto plots", ParetoCharts(sweep)});
  sections.push_back({absl::StrCat(prefix, "curves"), "Curves",
                      curves.empty() ? Absent("No trial has begun yet.") : Grid(curves)});
  return sections;
}

}  // namespace equipoise::launcher
