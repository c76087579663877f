#include "launcher/report/series.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace equipoise::launcher {

void Series::Bucket::Merge(const Bucket& other) {
  if (other.count == 0) {
    if (count == 0) steps = other.steps;
    return;
  }
  low = count == 0 ? other.low : std::min(low, other.low);
  high = count == 0 ? other.high : std::max(high, other.high);
  steps = count == 0 ? other.steps : steps + other.steps;
  count += other.count;
  values += other.values;
}

void Series::Widen() {
  width_ *= 2;
  std::vector<Bucket> merged;
  for (const Bucket& bucket : buckets_) {
    const int64_t index = bucket.index / 2;
    if (merged.empty() || merged.back().index != index) merged.emplace_back().index = index;
    merged.back().Merge(bucket);
  }
  buckets_ = std::move(merged);
}

void Series::Add(int64_t step, double value) {
  if (step < 0) return;
  ends_finite_ = std::isfinite(value);
  if (ends_finite_) {
    last_ = value;
    has_value_ = true;
  }
  while (std::max<int64_t>(step - 1, 0) / width_ >= static_cast<int64_t>(kMaxBuckets)) Widen();
  const int64_t index = std::max<int64_t>(step - 1, 0) / width_;
  if (buckets_.empty() || buckets_.back().index < index) buckets_.emplace_back().index = index;
  const double at = static_cast<double>(step);
  buckets_.back().Merge(ends_finite_ ? Bucket{index, 1, at, value, value, value}
                                     : Bucket{index, 0, at, 0.0, 0.0, 0.0});
}

double Series::mean() const {
  double sum = 0.0;
  int64_t count = 0;
  for (const Bucket& bucket : buckets_) {
    sum += bucket.values;
    count += bucket.count;
  }
  return sum / static_cast<double>(count);
}

std::vector<CurvePoint> Series::Points() const {
  std::vector<CurvePoint> points;
  constexpr double kGap = std::numeric_limits<double>::quiet_NaN();
  for (const Bucket& bucket : buckets_) {
    if (bucket.count == 0) {
      points.push_back({bucket.steps, kGap, kGap, kGap});
      continue;
    }
    const auto count = static_cast<double>(bucket.count);
    points.push_back({bucket.steps / count, bucket.values / count, bucket.low, bucket.high});
  }
  return points;
}

void LoadGrid::Widen() {
  width_ *= 2;
  std::vector<std::vector<double>> merged;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    if (i % 2 == 0) {
      merged.push_back(std::move(buckets_[i]));
      continue;
    }
    std::transform(merged.back().begin(), merged.back().end(), buckets_[i].begin(),
                   merged.back().begin(), std::plus<>());
  }
  buckets_ = std::move(merged);
}

void LoadGrid::Add(int64_t step, std::span<const int64_t> counts) {
  if (counts.empty()) return;
  if (num_experts_ == 0) {
    num_experts_ = static_cast<int>(counts.size());
    first_step_ = step;
  }
  // A step that is no later than the last, or of another model, has no place here.
  if (static_cast<int>(counts.size()) != num_experts_ || step < first_step_) return;
  last_step_ = std::max(last_step_, step);
  while (static_cast<size_t>((step - first_step_) / width_) >= kMaxBuckets) Widen();
  const auto index = static_cast<size_t>((step - first_step_) / width_);
  if (buckets_.size() <= index) {
    buckets_.resize(index + 1, std::vector<double>(static_cast<size_t>(num_experts_)));
  }
  int64_t total = 0;
  size_t most = 0;
  size_t fewest = 0;
  std::vector<double>& bucket = buckets_[index];
  for (size_t e = 0; e < counts.size(); ++e) {
    bucket[e] += static_cast<double>(counts[e]);
    total += counts[e];
    if (counts[e] > counts[most]) most = e;
    if (counts[e] < counts[fewest]) fewest = e;
  }
  if (total <= 0) return;
  const double even = static_cast<double>(total) / num_experts_;
  const double high = static_cast<double>(counts[most]) / even;
  const double low = static_cast<double>(counts[fewest]) / even;
  if (high > greatest_.ratio) greatest_ = {high, step, static_cast<int>(most)};
  if (low < least_.ratio) least_ = {low, step, static_cast<int>(fewest)};
}

double LoadGrid::MiddleOf(int bucket) const {
  const int64_t first = first_step_ + bucket * width_;
  return 0.5 * static_cast<double>(first + std::min(first + width_ - 1, last_step_));
}

std::vector<double> LoadGrid::Ratios() const {
  const auto experts = static_cast<size_t>(num_experts_);
  std::vector<double> ratios(experts * buckets_.size(), std::numeric_limits<double>::quiet_NaN());
  for (size_t column = 0; column < buckets_.size(); ++column) {
    const std::vector<double>& bucket = buckets_[column];
    const double total = std::accumulate(bucket.begin(), bucket.end(), 0.0);
    if (total <= 0.0) continue;
    for (size_t e = 0; e < experts; ++e) {
      ratios[e * buckets_.size() + column] = bucket[e] * static_cast<double>(experts) / total;
    }
  }
  return ratios;
}

}  // namespace equipoise::launcher
