#ifndef EQUIPOISE_TESTS_BENCH_PRODUCTS_H_
#define EQUIPOISE_TESTS_BENCH_PRODUCTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/ops/transpose.h"
#include "core/tensor/tensor.h"
#include "tests/bench/world.h"

namespace equipoise::bench {

// A matrix product by itself: c (+)= op(a) op(b), c [m, n], depth k.
struct Product {
  std::string name;
  Transpose transpose_a = Transpose::kNo;
  Transpose transpose_b = Transpose::kNo;
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  double beta = 0.0;

  double flops() const { return 2.0 * static_cast<double>(m * n * k); }
};

// Measures products, each alone and on memory that is in use already. One per rank.
class ProductTimer {
 public:
  // Memory for the largest of `products`. Both outlive it.
  static absl::StatusOr<ProductTimer> Create(RankMemory& memory, Stopwatch& stopwatch,
                                             const std::vector<Product>& products);

  // FLOP/s of one of them. Collective.
  absl::StatusOr<double> Measure(const Product& product);

 private:
  ProductTimer(RankMemory& memory, Stopwatch& stopwatch)
      : memory_(&memory), stopwatch_(&stopwatch) {}

  RankMemory* memory_;
  Stopwatch* stopwatch_;
  Tensor a_, b_, c_;  // F32 flat
};

// F32 of `shape`, each element `value`.
absl::StatusOr<Tensor> MakeFilled(RankMemory& memory, const Shape& shape, double value);

}  // namespace equipoise::bench

#endif  // EQUIPOISE_TESTS_BENCH_PRODUCTS_H_
