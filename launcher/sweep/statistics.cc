#include "launcher/sweep/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <numeric>

#include "core/base/check.h"

namespace equipoise::launcher {
namespace {

// P(|T| < t). The series is exact: it has degrees / 2 terms.
double StudentProbability(double t, int degrees) {
  const double angle = std::atan(t / std::sqrt(static_cast<double>(degrees)));
  const double cosine = std::cos(angle);
  const bool odd = degrees % 2 == 1;
  double term = odd ? cosine : 1.0;
  double sum = degrees == 1 ? 0.0 : term;
  for (int k = odd ? 3 : 2; k <= degrees - 2; k += 2) {
    term *= cosine * cosine * (k - 1.0) / k;
    sum += term;
  }
  const double value = std::sin(angle) * sum;
  return odd ? 2.0 / std::numbers::pi * (angle + value) : value;
}

}  // namespace

double StudentBound(double probability, int degrees) {
  EQ_CHECK_GE(degrees, 1);
  EQ_CHECK(probability > 0.0 && probability < 1.0) << probability;
  double low = 0.0;
  double high = 1.0;
  while (StudentProbability(high, degrees) < probability) high *= 2.0;
  constexpr int kHalvings = 60;  // more than a double has bits
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = 0.5 * (low + high);
    (StudentProbability(middle, degrees) < probability ? low : high) = middle;
  }
  return high;
}

std::optional<MeanInterval> Summarise(std::span<const double> values) {
  if (values.empty()) return std::nullopt;
  const double n = static_cast<double>(values.size());
  MeanInterval interval;
  interval.count = static_cast<int>(values.size());
  interval.mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  if (values.size() < 2) return interval;
  double squares = 0.0;
  for (const double value : values) squares += (value - interval.mean) * (value - interval.mean);
  constexpr double kConfidence = 0.95;
  interval.half_width =
      StudentBound(kConfidence, interval.count - 1) * std::sqrt(squares / (n - 1.0) / n);
  return interval;
}

std::optional<double> Median(std::vector<double> values) {
  if (values.empty()) return std::nullopt;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : 0.5 * (values[middle - 1] + values[middle]);
}

}  // namespace equipoise::launcher
