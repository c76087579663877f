#include "core/ops/reference/rms_norm.h"

#include <cmath>

namespace equipoise::reference {
namespace {

double MeanSquare(std::span<const double> row) {
  double sum = 0.0;
  for (const double value : row) sum += value * value;
  return sum / static_cast<double>(row.size());
}

}  // namespace

std::vector<double> RmsNormForward(std::span<const double> x, std::span<const double> weight,
                                   double epsilon) {
  std::vector<double> y;
  for (size_t begin = 0; begin < x.size(); begin += weight.size()) {
    const auto row = x.subspan(begin, weight.size());
    const double rms = std::sqrt(MeanSquare(row) + epsilon);
    for (size_t j = 0; j < row.size(); ++j) y.push_back(row[j] / rms * weight[j]);
  }
  return y;
}

RmsNormGradients RmsNormBackward(std::span<const double> x, std::span<const double> weight,
                                 double epsilon, std::span<const double> dy) {
  RmsNormGradients gradients;
  gradients.dweight.assign(weight.size(), 0.0);
  const double width = static_cast<double>(weight.size());
  for (size_t begin = 0; begin < x.size(); begin += weight.size()) {
    const auto row = x.subspan(begin, weight.size());
    const double rms = std::sqrt(MeanSquare(row) + epsilon);
    double d_rms = 0.0;
    for (size_t j = 0; j < row.size(); ++j) {
      gradients.dweight[j] += dy[begin + j] * row[j] / rms;
      d_rms -= dy[begin + j] * weight[j] * row[j] / (rms * rms);
    }
    const double d_mean_square = d_rms / (2.0 * rms);
    for (size_t j = 0; j < row.size(); ++j) {
      gradients.dx.push_back(dy[begin + j] * weight[j] / rms +
                             d_mean_square * 2.0 * row[j] / width);
    }
  }
  return gradients;
}

}  // namespace equipoise::reference
