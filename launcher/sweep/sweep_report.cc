#include "launcher/sweep/sweep_report.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/status_macros.h"
#include "core/io/file_system.h"
#include "core/telemetry/step_gaps.h"

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

bool HasResult(const ReportedTrial& trial) {
  return trial.status.state == TrialState::kFinished && trial.not_counted.empty();
}

// Whether the trial goes on from another run's checkpoint, and so has no first steps of its own.
bool BeginsElsewhere(const std::string& config) {
  constexpr absl::string_view kKey = "resume: \"";
  const size_t key = config.find(kKey.data(), 0, kKey.size());
  if (key == std::string::npos) return false;
  const size_t begin = key + kKey.size();
  return absl::StrContains(config.substr(begin, config.find('"', begin) - begin), '/');
}

// What the metrics lack of the steps that STATUS.json says are done; "" if they have all.
std::string Damage(const TrialStore& store, const ReportedTrial& trial) {
  if (trial.figures.num_steps() == 0) return "it has no metrics.jsonl, or one without steps";
  const int64_t first = trial.figures.first_step().value_or(1);
  if (first > 1 && !BeginsElsewhere(store.ReadTrialConfig(trial.plan.id))) {
    return absl::StrCat("metrics.jsonl begins at step ", first);
  }
  StepGaps gaps = trial.figures.gaps();
  gaps.End(trial.status.step - gaps.last().value_or(0));
  return gaps.empty() ? "" : absl::StrCat("metrics.jsonl: ", gaps.Describe());
}

// ReportedTrial::not_counted of a finished trial.
std::string WhyNotCounted(const TrialStore& store, const ReportedTrial& trial) {
  const std::string damage = Damage(store, trial);
  if (!damage.empty()) {
    return absl::StrCat(damage, "; delete ", store.trial_path(trial.plan.id),
                        " and run the sweep again");
  }
  if (trial.status.step >= trial.plan.steps) return "";
  return absl::StrCat("it ended at step ", trial.status.step, " of ", trial.plan.steps,
                      trial.status.reason.empty() ? "" : ": ", trial.status.reason,
                      "; raise or remove max_minutes in the sweep's configuration and run the "
                      "sweep again, which goes on with it");
}

ReportedTrial ReadTrial(const TrialStore& store, const PlannedTrial& plan,
                        const TrialStatus& status, int window) {
  ReportedTrial trial = {plan, status, {}};
  const absl::Status format = store.CheckTrialFormat(plan.id);
  if (!format.ok()) {
    trial.not_counted = std::string(format.message());
    return trial;
  }
  // A trial that has not begun has no file, and so no figures.
  std::ifstream metrics(JoinPath(store.trial_path(plan.id), "metrics.jsonl"));
  trial.figures = TrialFigures::Read(metrics, window);
  if (status.state == TrialState::kFinished) trial.not_counted = WhyNotCounted(store, trial);
  return trial;
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
  report.earlier_trials = store.DescribeEarlierTrials(plan, statuses);
  for (const PlannedAxis& axis : plan.axes) {
    if (!axis.is_seed) report.point_axes.push_back(axis.name);
  }
  for (const PlannedTrial& trial : plan.trials) {
    report.trials.push_back(ReadTrial(store, trial, statuses.at(trial.id), window));
    report.num_skipped_lines += report.trials.back().figures.num_skipped();
  }
  report.points = GroupTrials(plan, report.trials);
  MarkFrontier(report);
  return report;
}

}  // namespace equipoise::launcher
