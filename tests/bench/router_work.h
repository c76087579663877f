#ifndef EQUIPOISE_TESTS_BENCH_ROUTER_WORK_H_
#define EQUIPOISE_TESTS_BENCH_ROUTER_WORK_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/tensor/tensor.h"
#include "tests/bench/products.h"
#include "tests/bench/world.h"

namespace equipoise::bench {

struct RouterShape {
  int64_t tokens = 8192;    // T
  int64_t hidden = 1024;    // H
  int64_t experts = 128;    // E
  int64_t top_k = 8;        // K
  int64_t dimensions = 16;  // D
};

// What any implementation of a router has to do for a forward and a backward pass. Nothing is
// counted that is computed again in the backward pass, and nothing of T x E elements or less is
// counted as memory traffic: it can stay in the cache.
struct RouterWork {
  // Of `tokens` tokens in one piece.
  std::vector<Product> products;
  double bytes_read = 0.0;     // arrays that are only read
  double bytes_updated = 0.0;  // arrays that are added to: read and written
  double activations = 0.0;    // elements through norm and SiLU, forward and backward
};

// Of router `top_k`.
RouterWork TopKWork(const RouterShape& shape);

// What the modes of router `lpr` differ in.
struct LprWorkOptions {
  bool log_variances = false;
  bool learned_prototypes = false;
  bool decode = false;
};
RouterWork LprWork(const RouterShape& shape, const LprWorkOptions& options);

// Seconds that a router's work takes where nothing but the named part has to be done.
struct RouterFloor {
  double products = 0.0;
  double memory = 0.0;
  double activations = 0.0;
};

// Rates that floors are made of.
struct FloorRates {
  std::map<std::string, double> products;  // FLOP/s, by Product::name
  double read = 0.0;                       // bytes read per second
  double update = 0.0;                     // bytes read plus bytes written per second
  double activations = 0.0;                // elements forward and backward per second
};
RouterFloor FloorOf(const RouterWork& work, const FloorRates& rates);

// Measures them: each product at the shape of the whole batch and at that of a tile, as it is and
// with operands turned round, whichever is fastest; reading, and adding to, arrays larger than the
// caches; SiLU forward and backward on rows that are in the cache. One per rank.
class FloorTimer {
 public:
  static constexpr int64_t kTileTokens = 128;

  // Both outlive it.
  static absl::StatusOr<FloorTimer> Create(RankMemory& memory, Stopwatch& stopwatch,
                                           const RouterShape& shape);

  // Measures everything that any of `works` needs. Collective.
  absl::Status MeasureRound(const std::vector<RouterWork>& works);
  // Of the last round, and the best of all.
  const FloorRates& last() const { return last_; }
  const FloorRates& best() const { return best_; }

 private:
  FloorTimer(RankMemory& memory, Stopwatch& stopwatch, const RouterShape& shape,
             ProductTimer product_timer)
      : memory_(&memory),
        stopwatch_(&stopwatch),
        shape_(shape),
        product_timer_(std::move(product_timer)) {}
  absl::Status MeasureProduct(const Product& product);
  absl::Status MeasureMemory();
  absl::Status MeasureActivations();

  RankMemory* memory_;
  Stopwatch* stopwatch_;
  RouterShape shape_;
  ProductTimer product_timer_;
  FloorRates last_, best_;
  Tensor source_, target_;                // F32 [T, H]
  Tensor gate_up_, d_gate_up_, outputs_;  // F32 [rows, 2 H], [rows, 2 H], [rows, H]
};

}  // namespace equipoise::bench

#endif  // EQUIPOISE_TESTS_BENCH_ROUTER_WORK_H_
