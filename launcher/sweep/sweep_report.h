#ifndef EQUIPOISE_LAUNCHER_SWEEP_SWEEP_REPORT_H_
#define EQUIPOISE_LAUNCHER_SWEEP_SWEEP_REPORT_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "launcher/sweep/statistics.h"
#include "launcher/sweep/trial_figures.h"
#include "launcher/sweep/trial_store.h"

namespace equipoise::launcher {

struct ReportedTrial {
  PlannedTrial plan;
  TrialStatus status;
  TrialFigures figures;  // of a trial that is not finished: as far as it came
  // Why a trial that says it is finished counts for nothing, and what to do; "" if it counts.
  std::string not_counted = {};
};

// The trials that differ in their seed alone.
struct ReportedPoint {
  std::vector<std::string> labels;  // on the axes that are no seeds
  int num_trials = 0;
  int num_finished = 0;  // those that count
  // Over the finished trials that have the figure.
  std::array<std::optional<MeanInterval>, kNumFigures> figures;
  // No other point is at least as good in loss, balance, time and bytes and better in one of them.
  bool on_frontier = false;
  bool is_best = false;  // the lowest loss

  const std::optional<MeanInterval>& operator[](Figure figure) const {
    return figures[static_cast<size_t>(figure)];
  }
};

// What a sweep came to. A value.
struct SweepReport {
  std::string name;
  std::vector<PlannedAxis> axes;  // of `trials`
  std::vector<std::string> point_axes;
  int window = 0;  // steps
  std::vector<ReportedTrial> trials;
  std::vector<ReportedPoint> points;
  // The figures that the frontier is made of; nothing when no point has them.
  std::optional<Figure> loss;     // validation loss, else training loss
  std::optional<Figure> balance;  // mean Gini, held-out if every point has it
  std::optional<Figure> time;     // tokens per second
  std::optional<Figure> bytes;    // that exchanges send, a token
  int64_t num_skipped_lines = 0;
  std::string earlier_trials;  // TrialStore::DescribeEarlierTrials
};

// Reads the metrics of every trial of the sweep in `store`. Errors as TrialStore::ReadPlan.
absl::StatusOr<SweepReport> MakeSweepReport(const TrialStore& store, int window);

// Indices of the rows that no other row dominates. Smaller is better in every column; a row without
// one of the numbers is not compared.
std::vector<size_t> ParetoFrontier(const std::vector<std::vector<std::optional<double>>>& rows);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_SWEEP_SWEEP_REPORT_H_
