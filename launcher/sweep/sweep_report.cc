#include "launcher/sweep/sweep_report.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <utility>

#include "core/base/status_macros.h"
#include "core/io/file_system.h"

namespace equipoise::launcher {
namespace {

// The trial's point on the axes that are no seeds.
std::vector<std::string> PointOf(const SweepPlan& plan, const PlannedTrial& trial) {
  std::vector<std::string> labels;
  for (size_t i = 0; i < plan.axes.size(); ++i) {
    if (!plan.axes[i].is_seed) labels.push_back(trial.labels[i]);
  }
  return labels;
}

// A trial that says it is finished may have lost its metrics.jsonl.
bool HasResult(const ReportedTrial& trial) {
  return trial.status.state == TrialState::kFinished && trial.figures.num_steps() > 0;
}

void SummariseFigures(const std::vector<const ReportedTrial*>& trials, ReportedPoint& point) {
  for (size_t f = 0; f < kNumFigures; ++f) {
    std::vector<double> values;
    for (const ReportedTrial* trial : trials) {
      const std::optional<double> value = trial->figures[static_cast<Figure>(f)];
      if (HasResult(*trial) && value.has_value()) values.push_back(*value);
    }
    point.figures[f] = Summarise(values);
  }
}

// Points in the order of their first trial.
std::vector<ReportedPoint> GroupTrials(const SweepPlan& plan,
                                       const std::vector<ReportedTrial>& trials) {
  std::map<std::vector<std::string>, std::vector<const ReportedTrial*>> groups;
  std::vector<ReportedPoint> points;
  for (const ReportedTrial& trial : trials) {
    std::vector<std::string> labels = PointOf(plan, trial.plan);
    std::vector<const ReportedTrial*>& group = groups[labels];
    if (group.empty()) points.emplace_back().labels = std::move(labels);
    group.push_back(&trial);
  }
  for (ReportedPoint& point : points) {
    const std::vector<const ReportedTrial*>& group = groups.at(point.labels);
    point.num_trials = static_cast<int>(group.size());
    point.num_finished = static_cast<int>(std::count_if(
        group.begin(), group.end(), [](const ReportedTrial* trial) { return HasResult(*trial); }));
    SummariseFigures(group, point);
  }
  return points;
}

// The first of `choices` that every finished point has, else the first that any point has.
std::optional<Figure> Choose(const std::vector<ReportedPoint>& points,
                             std::initializer_list<Figure> choices) {
  for (const bool everywhere : {true, false}) {
    for (const Figure figure : choices) {
      const auto has = [&](const ReportedPoint& point) { return point[figure].has_value(); };
      const auto lacks = [&](const ReportedPoint& point) {
        return point.num_finished > 0 && !has(point);
      };
      const bool any = std::any_of(points.begin(), points.end(), has);
      const bool all = std::none_of(points.begin(), points.end(), lacks);
      if (any && (all || !everywhere)) return figure;
    }
  }
  return std::nullopt;
}

void MarkFrontier(SweepReport& report) {
  report.loss = Choose(report.points, {Figure::kValidationLoss, Figure::kTrainingLoss});
  report.balance = Choose(report.points, {Figure::kHeldOutGiniMean, Figure::kGiniMean});
  report.time = Choose(report.points, {Figure::kTokensPerSecond});
  report.bytes = Choose(report.points, {Figure::kBytesPerToken});
  std::vector<std::vector<std::optional<double>>> rows(report.points.size());
  const auto add = [&](const std::optional<Figure>& figure, double sign) {
    if (!figure.has_value()) return;
    for (size_t i = 0; i < rows.size(); ++i) {
      const std::optional<MeanInterval>& value = report.points[i][*figure];
      rows[i].push_back(value.has_value() ? std::optional<double>(sign * value->mean)
                                          : std::nullopt);
    }
  };
  add(report.loss, 1.0);
  add(report.balance, 1.0);
  add(report.time, -1.0);  // fast is good
  add(report.bytes, 1.0);
  for (const size_t i : ParetoFrontier(rows)) report.points[i].on_frontier = true;
  if (!report.loss.has_value()) return;
  const auto best = std::min_element(
      report.points.begin(), report.points.end(), [&](const auto& a, const auto& b) {
        if (!a[*report.loss].has_value()) return false;
        return !b[*report.loss].has_value() || a[*report.loss]->mean < b[*report.loss]->mean;
      });
  best->is_best = true;
}

}  // namespace

std::vector<size_t> ParetoFrontier(const std::vector<std::vector<std::optional<double>>>& rows) {
  const auto is_whole = [](const auto& row) {
    return !row.empty() &&
           std::all_of(row.begin(), row.end(), [](const auto& value) { return value.has_value(); });
  };
  const auto dominates = [](const auto& a, const auto& b) {
    bool better = false;
    for (size_t i = 0; i < a.size(); ++i) {
      if (*a[i] > *b[i]) return false;
      better = better || *a[i] < *b[i];
    }
    return better;
  };
  std::vector<size_t> frontier;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!is_whole(rows[i])) continue;
    const bool beaten = std::any_of(rows.begin(), rows.end(), [&](const auto& other) {
      return is_whole(other) && dominates(other, rows[i]);
    });
    if (!beaten) frontier.push_back(i);
  }
  return frontier;
}

absl::StatusOr<SweepReport> MakeSweepReport(const TrialStore& store, int window) {
  EQ_ASSIGN_OR_RETURN(const SweepPlan plan, store.ReadPlan());
  EQ_ASSIGN_OR_RETURN(const auto statuses, store.ReadStatus(plan));
  SweepReport report;
  report.name = plan.name;
  report.axes = plan.axes;
  report.window = window;
  for (const PlannedAxis& axis : plan.axes) {
    if (!axis.is_seed) report.point_axes.push_back(axis.name);
  }
  for (const PlannedTrial& trial : plan.trials) {
    // A trial that has not begun has no file, and so no figures.
    std::ifstream metrics(JoinPath(store.trial_path(trial.id), "metrics.jsonl"));
    report.trials.push_back({trial, statuses.at(trial.id), TrialFigures::Read(metrics, window)});
    const ReportedTrial& reported = report.trials.back();
    report.num_skipped_lines += reported.figures.num_skipped();
    const bool is_finished = reported.status.state == TrialState::kFinished;
    if (is_finished && !HasResult(reported)) report.without_metrics.push_back(trial.id);
  }
  report.points = GroupTrials(plan, report.trials);
  MarkFrontier(report);
  return report;
}

}  // namespace equipoise::launcher
