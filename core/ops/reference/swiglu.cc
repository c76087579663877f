#include "core/ops/reference/swiglu.h"

#include <cmath>

namespace equipoise::reference {

std::vector<double> SwiGluForward(std::span<const double> gate_up, int64_t width) {
  const size_t f = static_cast<size_t>(width);
  std::vector<double> y;
  for (size_t begin = 0; begin < gate_up.size(); begin += 2 * f) {
    for (size_t j = 0; j < f; ++j) {
      const double z = gate_up[begin + j];
      y.push_back(z / (1.0 + std::exp(-z)) * gate_up[begin + f + j]);
    }
  }
  return y;
}

std::vector<double> SwiGluBackward(std::span<const double> gate_up, std::span<const double> dy,
                                   int64_t width) {
  const size_t f = static_cast<size_t>(width);
  std::vector<double> gradient(gate_up.size());
  for (size_t i = 0; i < dy.size(); ++i) {
    const size_t gate = i / f * 2 * f + i % f;
    const double z = gate_up[gate];
    const double sigmoid = 1.0 / (1.0 + std::exp(-z));
    const double slope = sigmoid + z * sigmoid * (1.0 - sigmoid);
    gradient[gate] = dy[i] * gate_up[gate + f] * slope;
    gradient[gate + f] = dy[i] * z * sigmoid;
  }
  return gradient;
}

}  // namespace equipoise::reference
