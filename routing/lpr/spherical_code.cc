#include "routing/lpr/spherical_code.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/rng.h"

namespace equipoise::routing {
namespace {

constexpr double kFirstBeta = 8.0;
constexpr double kLastBeta = 40.0;
constexpr double kFirstStep = 0.2;
constexpr double kLastStep = 0.01;

double Dot(const double* a, const double* b, size_t n) {
  double sum = 0.0;
  for (size_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

void Normalize(double* point, size_t n) {
  const double scale = 1.0 / std::sqrt(Dot(point, point, n));
  for (size_t i = 0; i < n; ++i) point[i] *= scale;
}

// pushes[i] = mean of the other points, weighted by exp(beta * cosine).
void ComputePushes(const std::vector<double>& points, size_t n, double beta,
                   std::vector<double>& pushes, std::vector<double>& weights) {
  std::fill(pushes.begin(), pushes.end(), 0.0);
  std::fill(weights.begin(), weights.end(), 0.0);
  for (size_t i = 0; i < weights.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      const double* a = points.data() + i * n;
      const double* b = points.data() + j * n;
      const double weight = std::exp(beta * (Dot(a, b, n) - 1.0));
      weights[i] += weight;
      weights[j] += weight;
      for (size_t d = 0; d < n; ++d) {
        pushes[i * n + d] += weight * b[d];
        pushes[j * n + d] += weight * a[d];
      }
    }
  }
  for (size_t i = 0; i < weights.size(); ++i) {
    for (size_t d = 0; d < n && weights[i] > 0.0; ++d) pushes[i * n + d] /= weights[i];
  }
}

// Enough steps where they are cheap, and a bounded time where there are many points.
int NumSteps(int64_t count) {
  const double pairs = static_cast<double>(count) * static_cast<double>(count);
  return static_cast<int>(std::clamp(1e7 / pairs, 60.0, 400.0));
}

}  // namespace

std::vector<double> SphericalCode(int64_t count, int64_t dimensions) {
  EQ_CHECK(count >= 1 && dimensions >= 1) << count << " points in " << dimensions;
  const size_t n = static_cast<size_t>(dimensions);
  std::vector<double> points(static_cast<size_t>(count) * n);
  const Philox draws(StreamKey(0, absl::StrCat("spherical code ", count, " ", dimensions)));
  for (size_t i = 0; i < points.size(); ++i) points[i] = draws.Normal(i);
  for (size_t i = 0; i < points.size(); i += n) Normalize(points.data() + i, n);

  std::vector<double> pushes(points.size());
  std::vector<double> weights(static_cast<size_t>(count));
  const int steps = NumSteps(count);
  for (int step = 0; step < steps; ++step) {
    const double progress = static_cast<double>(step) / steps;
    const double beta = kFirstBeta * std::pow(kLastBeta / kFirstBeta, progress);
    const double size = kFirstStep * std::pow(kLastStep / kFirstStep, progress);
    ComputePushes(points, n, beta, pushes, weights);
    for (size_t i = 0; i < points.size(); ++i) points[i] -= size * pushes[i];
    for (size_t i = 0; i < points.size(); i += n) Normalize(points.data() + i, n);
  }
  return points;
}

}  // namespace equipoise::routing
