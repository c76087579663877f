#include "core/ops/reference/permute.h"

namespace equipoise::reference {

std::vector<double> GatherRows(std::span<const double> x, std::span<const double> rows,
                               int64_t width) {
  std::vector<double> y;
  for (const double row : rows) {
    const size_t begin = static_cast<size_t>(row) * static_cast<size_t>(width);
    const auto values = x.subspan(begin, static_cast<size_t>(width));
    y.insert(y.end(), values.begin(), values.end());
  }
  return y;
}

void ScatterAddRows(std::span<const double> x, std::span<const double> rows, int64_t width,
                    std::span<double> out) {
  const size_t h = static_cast<size_t>(width);
  for (size_t i = 0; i < rows.size(); ++i) {
    for (size_t j = 0; j < h; ++j) out[static_cast<size_t>(rows[i]) * h + j] += x[i * h + j];
  }
}

std::vector<double> WeightedCombine(std::span<const double> x, const Slots& slots, int64_t width) {
  const size_t h = static_cast<size_t>(width);
  const size_t num_slots = static_cast<size_t>(slots.num_slots);
  std::vector<double> y(slots.slots.size() / num_slots * h, 0.0);
  for (size_t i = 0; i < slots.slots.size(); ++i) {
    if (slots.slots[i] < 0) continue;
    const size_t copy = static_cast<size_t>(slots.slots[i]);
    for (size_t j = 0; j < h; ++j) y[i / num_slots * h + j] += slots.gates[i] * x[copy * h + j];
  }
  return y;
}

}  // namespace equipoise::reference
