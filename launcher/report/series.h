#ifndef EQUIPOISE_LAUNCHER_REPORT_SERIES_H_
#define EQUIPOISE_LAUNCHER_REPORT_SERIES_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "launcher/chart/line_chart.h"

namespace equipoise::launcher {

// A figure over the steps of a run of any length, in bounded memory: neighbouring steps share a
// bucket that keeps their mean, least and greatest value, so no spike is lost. Steps come in order.
class Series {
 public:
  static constexpr size_t kMaxBuckets = 400;

  // A value that is not finite counts in no figure, and leaves a gap where its bucket has no other.
  void Add(int64_t step, double value);

  bool empty() const { return !has_value_; }         // no finite value
  double last() const { return last_; }              // the last finite one. REQUIRES: not empty
  bool ends_finite() const { return ends_finite_; }  // whether last() is of the last step
  double mean() const;                               // over all steps. REQUIRES: not empty
  int64_t steps_per_bucket() const { return width_; }
  // A point a bucket, at the mean of its steps; NaN for a gap.
  std::vector<CurvePoint> Points() const;

 private:
  struct Bucket {
    int64_t index = 0;  // (step - 1) / width
    int64_t count = 0;
    double steps = 0.0;  // sums; of a gap, where `count` is 0, its last step
    double values = 0.0;
    double low = 0.0;
    double high = 0.0;
    void Merge(const Bucket& other);
  };
  void Widen();

  int64_t width_ = 1;
  std::vector<Bucket> buckets_;
  double last_ = 0.0;
  bool has_value_ = false;
  bool ends_finite_ = false;
};

// The load of a layer's experts over steps: token copies by expert, summed over the steps of a
// bucket, and the greatest and least share of any single step.
class LoadGrid {
 public:
  static constexpr size_t kMaxBuckets = 230;

  void Add(int64_t step, std::span<const int64_t> counts);

  bool empty() const { return buckets_.empty(); }
  int num_experts() const { return num_experts_; }
  int num_buckets() const { return static_cast<int>(buckets_.size()); }
  int64_t first_step() const { return first_step_; }
  int64_t last_step() const { return last_step_; }
  int64_t steps_per_bucket() const { return width_; }
  // Sums of a bucket's steps [num_experts], and the middle of those steps.
  std::span<const double> Sums(int bucket) const { return buckets_[static_cast<size_t>(bucket)]; }
  double MiddleOf(int bucket) const;
  // [num_experts, num_buckets] counts over an even share; NaN where nothing was counted.
  std::vector<double> Ratios() const;

  // The step and expert of the greatest, or least, load of a single step.
  struct Extreme {
    double ratio = 1.0;
    int64_t step = 0;
    int expert = 0;
  };
  const Extreme& greatest() const { return greatest_; }
  const Extreme& least() const { return least_; }

 private:
  void Widen();

  int num_experts_ = 0;
  int64_t width_ = 1;
  int64_t first_step_ = 0;
  int64_t last_step_ = 0;
  std::vector<std::vector<double>> buckets_;  // by (step - first_step) / width
  Extreme greatest_;
  Extreme least_;
};

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_REPORT_SERIES_H_
