#include "core/ops/reference/rope.h"

#include <cmath>
#include <complex>
#include <cstddef>

namespace equipoise::reference {

void Rope(double theta, int64_t sequence_length, int64_t heads, int64_t head_dim, double direction,
          std::span<double> x) {
  const int64_t half = head_dim / 2;
  const int64_t rows =
      heads * head_dim == 0 ? 0 : static_cast<int64_t>(x.size()) / heads / head_dim;
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t head = 0; head < heads; ++head) {
      for (int64_t d = 0; d < half; ++d) {
        const double frequency =
            std::pow(theta, -2.0 * static_cast<double>(d) / static_cast<double>(head_dim));
        const double angle = direction * static_cast<double>(t % sequence_length) * frequency;
        double& low = x[static_cast<size_t>((t * heads + head) * head_dim + d)];
        double& high = x[static_cast<size_t>((t * heads + head) * head_dim + d + half)];
        const std::complex<double> turned =
            std::complex<double>(low, high) * std::polar(1.0, angle);
        low = turned.real();
        high = turned.imag();
      }
    }
  }
}

}  // namespace equipoise::reference
