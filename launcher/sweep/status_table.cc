#include "launcher/sweep/status_table.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "launcher/sweep/text_table.h"

namespace equipoise::launcher {
namespace {

SweepPlan PlanOf(const SweepSpec& spec, const std::vector<Trial>& trials) {
  SweepPlan plan;
  plan.name = spec.name;
  for (const SweepAxis& axis : spec.axes) plan.axes.push_back({axis.name, axis.is_seed});
  for (const Trial& trial : trials) plan.trials.push_back({trial.id, trial.labels, trial.steps});
  return plan;
}

std::string Table(const SweepPlan& plan, const std::map<std::string, TrialStatus>& statuses) {
  std::vector<std::vector<std::string>> rows = {{"trial", "state", "step", "attempts"}};
  for (const PlannedAxis& axis : plan.axes) rows[0].push_back(axis.name);
  rows[0].push_back("reason");
  for (const PlannedTrial& trial : plan.trials) {
    const auto found = statuses.find(trial.id);
    const TrialStatus status = found == statuses.end() ? TrialStatus() : found->second;
    std::vector<std::string> row = {trial.id, Name(status.state),
                                    absl::StrCat(status.step, "/", trial.steps),
                                    absl::StrCat(status.attempts)};
    row.insert(row.end(), trial.labels.begin(), trial.labels.end());
    // The first line is enough here; the log has the rest.
    row.push_back(status.reason.substr(0, status.reason.find('\n')));
    rows.push_back(std::move(row));
  }
  return TextTable(rows);
}

std::string Count(const SweepPlan& plan, const std::map<std::string, TrialStatus>& statuses) {
  std::map<TrialState, int> counts;
  for (const PlannedTrial& trial : plan.trials) {
    const auto found = statuses.find(trial.id);
    ++counts[found == statuses.end() ? TrialState::kWaiting : found->second.state];
  }
  std::vector<std::string> parts;
  for (const auto& [state, count] : counts) parts.push_back(absl::StrCat(count, " ", Name(state)));
  return absl::StrCat("sweep ", plan.name, ": ", plan.trials.size(),
                      " trials: ", absl::StrJoin(parts, ", "), "\n");
}

}  // namespace

absl::StatusOr<std::string> DescribeStatus(const TrialStore& store) {
  EQ_ASSIGN_OR_RETURN(const SweepPlan plan, store.ReadPlan());
  EQ_ASSIGN_OR_RETURN(const auto statuses, store.ReadStatus(plan));
  const std::string earlier = store.DescribeEarlierTrials(plan, statuses);
  return absl::StrCat(Count(plan, statuses), Table(plan, statuses), earlier,
                      earlier.empty() ? "" : "\n");
}

std::string ListTrials(const SweepSpec& spec, const std::vector<Trial>& trials,
                       const TrialStore& store) {
  const SweepPlan plan = PlanOf(spec, trials);
  const auto statuses = store.ReadStatus(plan);
  const std::map<std::string, TrialStatus> known =
      statuses.ok() ? *statuses : std::map<std::string, TrialStatus>();
  return absl::StrCat(Count(plan, known), Table(plan, known));
}

}  // namespace equipoise::launcher
