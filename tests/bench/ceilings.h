#ifndef EQUIPOISE_TESTS_BENCH_CEILINGS_H_
#define EQUIPOISE_TESTS_BENCH_CEILINGS_H_

#include <cstdint>
#include <string>
#include <vector>

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

// What the machine gives to the operations a layer is made of, each alone and on memory that is in
// use already: the rates that a layer's own are held against. Rates change with what else runs, so
// they are measured in the same round as the layer, with all ranks busy. One per rank; collective.
class Ceilings {
 public:
  // The six products of a SwiGLU expert [H, F] with `rows` rows, forward and backward, and copies
  // of `copied_rows` rows of H floats.
  static absl::StatusOr<Ceilings> Create(RankMemory& memory, Stopwatch& stopwatch, int64_t rows,
                                         int64_t hidden, int64_t width, int64_t copied_rows);

  // Measures everything once more.
  absl::Status MeasureRound();

  const std::vector<Product>& products() const { return products_; }
  // FLOP/s of a rank, by round: of each product, and of the round's fastest.
  const std::vector<double>& product_rates(size_t i) const { return product_rates_[i]; }
  const std::vector<double>& gemm_rates() const { return gemm_rates_; }
  // Bytes read plus bytes written per second and rank, by round.
  const std::vector<double>& copy_rates() const { return copy_rates_; }

 private:
  Ceilings(RankMemory& memory, Stopwatch& stopwatch) : memory_(&memory), stopwatch_(&stopwatch) {}
  absl::StatusOr<double> MeasureProduct(const Product& product);
  absl::StatusOr<double> MeasureCopy();

  RankMemory* memory_;
  Stopwatch* stopwatch_;
  std::vector<Product> products_;
  Tensor a_, b_, c_;        // F32 flat, large enough for every product
  Tensor source_, target_;  // F32 [copied rows, H]
  std::vector<std::vector<double>> product_rates_;
  std::vector<double> gemm_rates_;
  std::vector<double> copy_rates_;
};

}  // namespace equipoise::bench

#endif  // EQUIPOISE_TESTS_BENCH_CEILINGS_H_
