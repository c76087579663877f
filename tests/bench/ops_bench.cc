// Single operations at the shapes of train_step_bench's model (H 256, 2048 tokens): where a step's
// time outside of large matrix products goes. CPU time; flops count causal attention as half.
//
//   ops_bench --benchmark_filter=Attention

#include <cstdint>
#include <memory>
#include <utility>

#include "benchmark/benchmark.h"
#include "core/base/check.h"
#include "core/base/rng.h"
#include "core/device/device.h"
#include "core/ops/attention.h"
#include "core/ops/gemm.h"
#include "core/ops/rms_norm.h"
#include "core/ops/swiglu.h"
#include "core/tensor/tensor.h"
#include "tests/bench/world.h"

namespace equipoise::bench {
namespace {

constexpr int64_t kTokens = 2048;
constexpr int64_t kHidden = 256;
constexpr int64_t kLength = 256;
constexpr int64_t kHeads = 8;
constexpr int64_t kKvHeads = 2;

class Tensors {
 public:
  Tensors() {
    absl::StatusOr<std::unique_ptr<RankMemory>> memory = RankMemory::Create();
    EQ_CHECK(memory.ok()) << memory.status();
    memory_ = *std::move(memory);
  }
  const Context& context() const { return memory_->context(); }

  // N(0, 1) values, valid as long as this.
  TensorView Normal(const Shape& shape) {
    const TensorView view = context().activations->Allocate(DType::kF32, shape);
    const Philox random(++seed_);
    uint64_t counter = 0;
    for (float& value : view.cpu<float>()) value = static_cast<float>(random.Normal(counter++));
    return view;
  }

 private:
  std::unique_ptr<RankMemory> memory_;
  uint64_t seed_ = 0;
};

void ReportFlops(benchmark::State& state, double flops) {
  state.counters["FLOP/s"] =
      benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
}

struct AttentionTensors {
  AttentionTensors(Tensors& tensors, int64_t head_dim)
      : q(tensors.Normal({kTokens, kHeads, head_dim})),
        k(tensors.Normal({kTokens, kKvHeads, head_dim})),
        v(tensors.Normal({kTokens, kKvHeads, head_dim})),
        out(tensors.Normal({kTokens, kHeads, head_dim})),
        log_sum_exp(tensors.Normal({kTokens, kHeads})) {}
  TensorView q, k, v, out, log_sum_exp;
};

// Scores and their product with the values, over half of the square.
double AttentionFlops(int64_t head_dim) {
  return 2.0 * static_cast<double>(kTokens * kLength * kHeads * head_dim);
}

void BM_AttentionForward(benchmark::State& state) {
  Tensors tensors;
  const AttentionTensors t(tensors, state.range(0));
  for ([[maybe_unused]] auto _ : state) {
    AttentionForward(tensors.context(), kLength, t.q, t.k, t.v, t.out, t.log_sum_exp);
  }
  ReportFlops(state, AttentionFlops(state.range(0)));
}
BENCHMARK(BM_AttentionForward)->Arg(32)->Arg(64)->Unit(benchmark::kMillisecond);

void BM_AttentionBackward(benchmark::State& state) {
  Tensors tensors;
  const AttentionTensors t(tensors, state.range(0));
  const TensorView dout = tensors.Normal(t.out.shape()), dq = tensors.Normal(t.q.shape());
  const TensorView dk = tensors.Normal(t.k.shape()), dv = tensors.Normal(t.v.shape());
  AttentionForward(tensors.context(), kLength, t.q, t.k, t.v, t.out, t.log_sum_exp);
  const AttentionSaved saved = {t.q, t.k, t.v, t.out, t.log_sum_exp};
  for ([[maybe_unused]] auto _ : state) {
    AttentionBackward(tensors.context(), kLength, saved, dout, dq, dk, dv);
  }
  ReportFlops(state, 2.0 * AttentionFlops(state.range(0)));
}
BENCHMARK(BM_AttentionBackward)->Arg(32)->Arg(64)->Unit(benchmark::kMillisecond);

// y = x W^T with outputs of a projection's width.
void BM_Linear(benchmark::State& state) {
  Tensors tensors;
  const TensorView x = tensors.Normal({kTokens, kHidden});
  const TensorView weight = tensors.Normal({state.range(0), kHidden});
  const TensorView y = tensors.Normal({kTokens, state.range(0)});
  for ([[maybe_unused]] auto _ : state) LinearForward(tensors.context(), x, weight, y);
  ReportFlops(state, 2.0 * static_cast<double>(kTokens * kHidden * state.range(0)));
}
BENCHMARK(BM_Linear)->Arg(16)->Arg(64)->Arg(256)->Arg(512)->Unit(benchmark::kMillisecond);

void BM_SwiGluForward(benchmark::State& state) {
  Tensors tensors;
  const TensorView gate_up = tensors.Normal({2 * kTokens, 2 * kHidden});
  const TensorView y = tensors.Normal({2 * kTokens, kHidden});
  for ([[maybe_unused]] auto _ : state) SwiGluForward(tensors.context(), gate_up, y);
}
BENCHMARK(BM_SwiGluForward)->Unit(benchmark::kMillisecond);

void BM_SwiGluBackward(benchmark::State& state) {
  Tensors tensors;
  const TensorView gate_up = tensors.Normal({2 * kTokens, 2 * kHidden});
  const TensorView dy = tensors.Normal({2 * kTokens, kHidden});
  const TensorView d_gate_up = tensors.Normal(gate_up.shape());
  for ([[maybe_unused]] auto _ : state) SwiGluBackward(tensors.context(), gate_up, dy, d_gate_up);
}
BENCHMARK(BM_SwiGluBackward)->Unit(benchmark::kMillisecond);

void BM_RmsNorm(benchmark::State& state) {
  Tensors tensors;
  const int64_t width = state.range(0), rows = kTokens * kHidden / width;
  const TensorView x = tensors.Normal({rows, width}), y = tensors.Normal({rows, width});
  const TensorView weight = tensors.Normal({width}), dweight = tensors.Normal({width});
  const TensorView inverse_rms = tensors.Normal({rows}), dx = tensors.Normal({rows, width});
  for ([[maybe_unused]] auto _ : state) {
    RmsNormForward(tensors.context(), x, weight, 1e-6, y, inverse_rms);
    RmsNormBackward(tensors.context(), x, weight, inverse_rms, y, dx, /*accumulate_dx=*/false,
                    dweight);
  }
}
BENCHMARK(BM_RmsNorm)->Arg(32)->Arg(256)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace equipoise::bench

BENCHMARK_MAIN();
