#ifndef EQUIPOISE_LAUNCHER_CHART_SCALE_H_
#define EQUIPOISE_LAUNCHER_CHART_SCALE_H_

#include <string>
#include <vector>

namespace equipoise::launcher {

// The interval that values lie in. Starts empty; NaN and infinities are passed over.
class Range {
 public:
  void Include(double value);
  bool empty() const { return low_ > high_; }
  double low() const { return low_; }
  double high() const { return high_; }

 private:
  double low_ = 1.0;
  double high_ = 0.0;
};

// Maps values to positions on an axis, and knows where its ticks are. A value.
class Scale {
 public:
  // From `range`, widened to whole ticks where that costs little, to positions from `start` to
  // `end`. An empty range counts as 0 to 1, one of a single value is widened around it.
  static Scale Linear(const Range& range, double start, double end);
  // Likewise by the logarithm. REQUIRES: every value that is shown is above 0.
  static Scale Logarithmic(const Range& range, double start, double end);
  // Exactly from `low` to `high`.
  static Scale Exact(double low, double high, double start, double end);

  double operator()(double value) const;
  const std::vector<double>& ticks() const { return ticks_; }
  // As a label: as many digits as tell ticks apart.
  std::string Label(double tick) const;

 private:
  double low_ = 0.0;
  double high_ = 1.0;
  double start_ = 0.0;
  double end_ = 1.0;
  bool is_logarithmic_ = false;
  double tick_step_ = 0.0;
  std::vector<double> ticks_;
};

// A round number (1, 2 or 5 times a power of ten) that divides `span` into about `count` parts.
double NiceStep(double span, int count);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CHART_SCALE_H_
