#ifndef EQUIPOISE_TESTS_BENCH_CEILINGS_H_
#define EQUIPOISE_TESTS_BENCH_CEILINGS_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "comm/communicator.h"
#include "comm/exchange/row_exchange.h"
#include "core/tensor/tensor.h"
#include "tests/bench/products.h"
#include "tests/bench/world.h"

namespace equipoise::bench {

// What the machine gives to the operations a layer is made of, each alone and on memory that is in
// use already: the rates that a layer's own are held against. Rates change with what else runs, so
// they are measured in the same round as the layer, with all ranks busy. One per rank; collective.
class Ceilings {
 public:
  struct Options {
    int64_t hidden = 0;  // H
    int64_t width = 0;   // F
    // The six products of a SwiGLU expert with this many rows, forward and backward.
    int64_t expert_rows = 0;
    // Copies, and all-to-alls from each rank, of this many rows of H floats.
    int64_t moved_rows = 0;
  };
  // All three outlive it.
  static absl::StatusOr<Ceilings> Create(comm::Communicator& world, RankMemory& memory,
                                         Stopwatch& stopwatch, const Options& options);

  // Measures everything once more.
  absl::Status MeasureRound();

  const std::vector<Product>& products() const { return products_; }
  // FLOP/s of a rank, by round: of each product, and of the round's fastest.
  const std::vector<double>& product_rates(size_t i) const { return product_rates_[i]; }
  const std::vector<double>& gemm_rates() const { return gemm_rates_; }
  // Bytes read plus bytes written per second and rank, by round.
  const std::vector<double>& copy_rates() const { return copy_rates_; }
  // Bytes that leave a rank per second, those to itself included, by round. Empty for one rank.
  const std::vector<double>& exchange_rates() const { return exchange_rates_; }

 private:
  Ceilings(comm::Communicator& world, RankMemory& memory, Stopwatch& stopwatch,
           std::vector<Product> products, ProductTimer product_timer);
  absl::StatusOr<double> MeasureCopy();
  absl::StatusOr<double> MeasureExchange();

  int ranks_;
  RankMemory* memory_;
  Stopwatch* stopwatch_;
  std::vector<Product> products_;
  ProductTimer product_timer_;
  Tensor source_, target_;  // F32 [moved rows, H]
  comm::RowMatrix counts_;  // the same number to and from every rank
  std::unique_ptr<comm::RowExchange> exchange_;
  std::vector<std::vector<double>> product_rates_;
  std::vector<double> gemm_rates_;
  std::vector<double> copy_rates_;
  std::vector<double> exchange_rates_;
};

}  // namespace equipoise::bench

#endif  // EQUIPOISE_TESTS_BENCH_CEILINGS_H_
