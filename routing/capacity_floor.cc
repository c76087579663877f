#include "routing/capacity_floor.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/check.h"

namespace equipoise::routing {
namespace {

// The continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz's method. Good
// for x below (a + 1) / (a + b + 2).
double BetaFraction(double a, double b, double x) {
  constexpr int kMostTerms = 1000;
  constexpr double kTiny = 1e-300;
  const auto guard = [](double value) { return std::fabs(value) < kTiny ? kTiny : value; };
  double c = 1.0;
  double d = 1.0 / guard(1.0 - (a + b) * x / (a + 1.0));
  double fraction = d;
  for (int m = 1; m <= kMostTerms; ++m) {
    const double even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
    d = 1.0 / guard(1.0 + even * d);
    c = guard(1.0 + even / c);
    fraction *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
    d = 1.0 / guard(1.0 + odd * d);
    c = guard(1.0 + odd / c);
    fraction *= d * c;
    if (std::fabs(d * c - 1.0) < std::numeric_limits<double>::epsilon()) break;
  }
  return fraction;
}

// 1 - I(x; 1/2, b): without cancellation where it is small.
double UpperTail(double x, double b) {
  constexpr double a = 0.5;
  const double factor = std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) +
                                 a * std::log(x) + b * std::log1p(-x));
  if (x < (a + 1.0) / (a + b + 2.0)) return 1.0 - factor * BetaFraction(a, b, x) / a;
  return factor * BetaFraction(b, a, 1.0 - x) / b;
}

}  // namespace

double CapacityFloor(int num_experts, int64_t dimensions, double cosine) {
  EQ_CHECK_GE(num_experts, 1);
  EQ_CHECK_GE(dimensions, 2);
  if (std::isnan(cosine)) return cosine;
  const double experts = num_experts;
  const double square = cosine * cosine;
  if (cosine <= 0.0 || square == 0.0) return 1.0 / experts;
  if (cosine >= 1.0) return std::numeric_limits<double>::infinity();
  return 1.0 / (experts * UpperTail(square, 0.5 * static_cast<double>(dimensions - 1)));
}

double CapacityClamp::Floor(const RouteAngles& angles, int64_t sequence_length) const {
  return std::min(CapacityFloor(num_experts, dimensions, angles.mean()),
                  static_cast<double>(sequence_length));
}

int64_t CapacityClamp::Apply(int64_t capacity, const RouteAngles& angles,
                             int64_t sequence_length) const {
  if (safety == 0.0 || dimensions == 0) return capacity;
  const double least = std::ceil(safety * CapacityFloor(num_experts, dimensions, angles.mean()));
  // NaN, of tokens that are not numbers, leaves the capacity as it is.
  if (!(least > static_cast<double>(capacity))) return capacity;
  return static_cast<int64_t>(std::min(least, static_cast<double>(sequence_length)));
}

}  // namespace equipoise::routing
