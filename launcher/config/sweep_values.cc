#include "launcher/config/sweep_values.h"

#include <cmath>
#include <cstddef>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "launcher/config/field_info.h"

namespace equipoise::launcher {
namespace {

std::string RoundedText(double value, int digits) {
  double rounded = value;
  const std::string text = absl::StrFormat("%.*g", digits, value);
  return absl::SimpleAtod(text, &rounded) ? NumberText(rounded) : text;
}

}  // namespace

double NumValues(const config::SweepRange& range) {
  // A last step that rounding made a hair too long still counts.
  constexpr double kSlack = 1e-9;
  return std::floor(std::abs(range.to() - range.from()) / range.step() + kSlack) + 1.0;
}

std::vector<std::string> ValuesOf(const config::SweepRange& range) {
  constexpr int kDigits = 12;
  constexpr double kZero = 1e-9;
  std::vector<std::string> values;
  const int count = static_cast<int>(NumValues(range));
  const double step = range.to() < range.from() ? -range.step() : range.step();
  for (int i = 0; i < count; ++i) {
    const double value = range.from() + i * step;
    // What rounding leaves of 0 has no digits worth keeping.
    const bool zero = std::abs(value) < range.step() * kZero;
    values.push_back(zero ? "0" : RoundedText(value, kDigits));
  }
  return values;
}

std::vector<std::string> ValuesOf(const config::SweepLogRange& range) {
  constexpr int kDigits = 6;
  std::vector<std::string> values = {NumberText(range.from())};
  const double ratio = std::log(range.to() / range.from()) / (range.count() - 1);
  for (int i = 1; i + 1 < range.count(); ++i) {
    values.push_back(RoundedText(range.from() * std::exp(ratio * i), kDigits));
  }
  values.push_back(NumberText(range.to()));
  return values;
}

std::string CanonicalValue(const std::string& text) {
  double number = 0.0;
  return absl::SimpleAtod(text, &number) ? NumberText(number) : text;
}

}  // namespace equipoise::launcher
