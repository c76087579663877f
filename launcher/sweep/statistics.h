#ifndef EQUIPOISE_LAUNCHER_SWEEP_STATISTICS_H_
#define EQUIPOISE_LAUNCHER_SWEEP_STATISTICS_H_

#include <optional>
#include <span>
#include <vector>

namespace equipoise::launcher {

// A mean, and how far the true one may be from it.
struct MeanInterval {
  int count = 0;
  double mean = 0.0;
  // Half the width of the 95 % confidence interval: mean +- this. Nothing for one value.
  std::optional<double> half_width;
};

// Of independent, normally distributed values: mean +- t s / sqrt(n), with s the standard deviation
// of the sample (n - 1) and t the 97.5 % quantile of Student's distribution with n - 1 degrees of
// freedom. Nothing without values.
std::optional<MeanInterval> Summarise(std::span<const double> values);

// The value that |T| stays below with probability `probability`, T of Student's distribution with
// `degrees` degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4). REQUIRES: degrees >= 1,
// 0 < probability < 1.
double StudentBound(double probability, int degrees);

// The middle value, or the mean of the two; nothing without values.
std::optional<double> Median(std::vector<double> values);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_SWEEP_STATISTICS_H_
