#ifndef EQUIPOISE_CORE_OPS_REFERENCE_PERMUTE_H_
#define EQUIPOISE_CORE_OPS_REFERENCE_PERMUTE_H_

#include <cstdint>
#include <span>
#include <vector>

// What core/ops/permute.h and core/ops/embedding.h must compute, in double: products with the
// matrix that has gate[t, k] in row t and column slots[t, k]. For tests.
namespace equipoise::reference {

// y[i] = x[rows[i]].
std::vector<double> GatherRows(std::span<const double> x, std::span<const double> rows,
                               int64_t width);

// out[rows[i]] += x[i], in the order of i.
void ScatterAddRows(std::span<const double> x, std::span<const double> rows, int64_t width,
                    std::span<double> out);

struct Slots {
  std::span<const double> slots;  // [T, K], -1: none
  std::span<const double> gates;  // [T, K]
  int64_t num_slots;              // K
};
// y[t] = sum over k of gates[t, k] x[slots[t, k]].
std::vector<double> WeightedCombine(std::span<const double> x, const Slots& slots, int64_t width);

}  // namespace equipoise::reference

#endif  // EQUIPOISE_CORE_OPS_REFERENCE_PERMUTE_H_
