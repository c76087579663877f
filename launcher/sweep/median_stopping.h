#ifndef EQUIPOISE_LAUNCHER_SWEEP_MEDIAN_STOPPING_H_
#define EQUIPOISE_LAUNCHER_SWEEP_MEDIAN_STOPPING_H_

#include <cstdint>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "launcher/config/sweep_spec.h"
#include "launcher/sweep/trial_runner.h"
#include "launcher/sweep/trial_store.h"

namespace equipoise::launcher {

// The running mean of one number of a metrics.jsonl that may still be written: at each step where
// trials are compared, the mean over all rows up to it.
class MetricHistory {
 public:
  MetricHistory(std::string path, const MedianStoppingOptions& options)
      : path_(std::move(path)), options_(options) {}

  // Reads what is new. A file that has become shorter (the trial was resumed) is read again.
  void Update();
  // By step: after_steps, after_steps + every_steps, ... as far as the trial has come.
  const std::map<int64_t, double>& means() const { return means_; }

 private:
  void Take(const std::string& line);

  const std::string path_;
  const MedianStoppingOptions options_;
  std::streamoff offset_ = 0;  // behind the last whole line that was read
  double sum_ = 0.0;
  int64_t count_ = 0;
  std::map<int64_t, double> means_;
};

// OK when rows of metrics.jsonl have, or can have, a number of this name ("validation.loss"), else
// InvalidArgument.
absl::Status CheckMetric(const std::string& metric);

// The median stopping rule (Golovin et al., "Google Vizier", 2017, section 3.2.2): at steps
// after_steps, after_steps + every_steps, ... a trial ends whose running mean is worse than the
// median of the other trials' at the same step, once min_trials others have come that far.
class MedianStopping final : public TrialJudge {
 public:
  // `ids`: every trial of the sweep, finished ones too. Looks at files once every `interval`.
  MedianStopping(const TrialStore& store, const std::vector<std::string>& ids,
                 const MedianStoppingOptions& options, absl::Duration interval = absl::Seconds(1));

  std::string ReasonToStop(const std::string& id) override;

 private:
  void Update();

  const MedianStoppingOptions options_;
  const absl::Duration interval_;
  absl::Time updated_ = absl::InfinitePast();
  std::map<std::string, MetricHistory> histories_;
};

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_SWEEP_MEDIAN_STOPPING_H_
