#include "launcher/chart/scale.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"
#include "launcher/chart/markup.h"

namespace equipoise::launcher {
namespace {

constexpr int kTicks = 5;

std::vector<double> LinearTicks(double low, double high, double step) {
  std::vector<double> ticks;
  const double slack = step * 1e-6;
  for (double n = std::ceil((low - slack) / step); n * step <= high + slack; ++n) {
    ticks.push_back(n == 0.0 ? 0.0 : n * step);
  }
  return ticks;
}

// Powers of ten, and their doubles and quintuples where there are few of them.
std::vector<double> LogarithmicTicks(double low, double high) {
  const double decades = std::log10(high / low);
  std::vector<double> ticks;
  for (double exponent = std::floor(std::log10(low)); exponent <= std::log10(high); ++exponent) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      if (factor != 1.0 && decades > 2.0) continue;
      const double tick = factor * std::pow(10.0, exponent);
      if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push_back(tick);
    }
  }
  return ticks;
}

}  // namespace

void Range::Include(double value) {
  if (!std::isfinite(value)) return;
  const bool first = empty();
  low_ = first ? value : std::min(low_, value);
  high_ = first ? value : std::max(high_, value);
}

double NiceStep(double span, int count) {
  const double rough = span / count;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough * 0.999) return factor * power;
  }
  return 10.0 * power;
}

Scale Scale::Exact(double low, double high, double start, double end) {
  Scale scale;
  scale.low_ = low;
  scale.high_ = high;
  scale.start_ = start;
  scale.end_ = end;
  scale.tick_step_ = NiceStep(high - low, kTicks);
  scale.ticks_ = LinearTicks(low, high, scale.tick_step_);
  return scale;
}

Scale Scale::Linear(const Range& range, double start, double end) {
  double low = range.empty() ? 0.0 : range.low();
  double high = range.empty() ? 1.0 : range.high();
  // A span that rounding could have made is none.
  const double least = std::max(std::abs(low), std::abs(high)) * 1e-9;
  if (high - low <= least) {
    const double around = low == 0.0 ? 1.0 : std::abs(low) * 0.1;
    low -= low == 0.0 ? 0.0 : around;
    high += around;
  }
  const double step = NiceStep(high - low, kTicks);
  const double rounded_low = std::floor(low / step + 1e-9) * step;
  const double rounded_high = std::ceil(high / step - 1e-9) * step;
  return Exact(rounded_low, rounded_high, start, end);
}

Scale Scale::Logarithmic(const Range& range, double start, double end) {
  Scale scale;
  scale.is_logarithmic_ = true;
  scale.start_ = start;
  scale.end_ = end;
  const bool usable = !range.empty() && range.low() > 0.0;
  scale.low_ = usable ? range.low() / 1.05 : 0.1;
  scale.high_ = usable ? range.high() * 1.05 : 10.0;
  scale.ticks_ = LogarithmicTicks(scale.low_, scale.high_);
  return scale;
}

double Scale::operator()(double value) const {
  const double share = is_logarithmic_ ? std::log(value / low_) / std::log(high_ / low_)
                                       : (value - low_) / (high_ - low_);
  return start_ + share * (end_ - start_);
}

std::string Scale::Label(double tick) const {
  const double size = std::abs(tick);
  if (tick == 0.0) return "0";
  if (size >= 1e4 || is_logarithmic_) return FormatFigure(tick);
  const double digits = std::ceil(-std::log10(tick_step_) - 1e-9);
  if (digits <= 0) return absl::StrFormat("%.0f", tick);
  if (digits > 5) return absl::StrFormat("%.1e", tick);
  return absl::StrFormat("%.*f", static_cast<int>(digits), tick);
}

}  // namespace equipoise::launcher
