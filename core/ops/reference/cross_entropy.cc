#include "core/ops/reference/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace equipoise::reference {
namespace {

// softmax(head x), and its log-sum-exp minus the target's logit.
double SoftmaxAndLoss(std::span<const double> x, std::span<const double> head, size_t target,
                      std::span<double> p) {
  const size_t width = x.size();
  for (size_t v = 0; v < p.size(); ++v) {
    p[v] = 0.0;
    for (size_t h = 0; h < width; ++h) p[v] += x[h] * head[v * width + h];
  }
  const double max = *std::max_element(p.begin(), p.end());
  const double target_logit = p[target];
  double sum = 0.0;
  for (double& value : p) sum += value = std::exp(value - max);
  for (double& value : p) value /= sum;
  return std::log(sum) + (max - target_logit);
}

}  // namespace

CrossEntropyResult CrossEntropy(std::span<const double> x, std::span<const double> head,
                                std::span<const int32_t> targets, int64_t width,
                                double gradient_scale) {
  const size_t columns = static_cast<size_t>(width);
  CrossEntropyResult result{std::vector<double>(targets.size(), 0.0),
                            std::vector<double>(x.size(), 0.0),
                            std::vector<double>(head.size(), 0.0)};
  std::vector<double> p(columns == 0 ? 0 : head.size() / columns);
  for (size_t t = 0; t < targets.size(); ++t) {
    if (targets[t] < 0) continue;
    const size_t target = static_cast<size_t>(targets[t]);
    const auto row = x.subspan(t * columns, columns);
    result.losses[t] = SoftmaxAndLoss(row, head, target, p);
    for (size_t v = 0; v < p.size(); ++v) {
      const double d = gradient_scale * (p[v] - (v == target ? 1.0 : 0.0));
      for (size_t h = 0; h < columns; ++h) {
        result.dx[t * columns + h] += d * head[v * columns + h];
        result.dhead[v * columns + h] += d * row[h];
      }
    }
  }
  return result;
}

}  // namespace equipoise::reference
