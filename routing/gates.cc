#include "routing/gates.h"

#include "core/base/check.h"

namespace equipoise::routing {
namespace {

// Calls body(row, k-th score function, factor), where gate_k = factor * score_k.
// One definition for both passes: `factor` is the scaling factor, over the sum of the chosen
// scores if gates are normalised.
template <typename T, typename Body>
void ForEachRow(const GateRule& rule, const ScoreTile& tile, Body&& body) {
  const int64_t num_experts = tile.num_experts();
  const int64_t top_k = tile.selected.dim(1);
  const T* p = tile.probabilities.cpu<T>().data();
  const int32_t* ids = tile.selected.cpu<int32_t>().data();
  const auto normalizers = tile.normalizers.cpu<T>();
  // Sigmoids may underflow all at once; DeepSeek-V3's own guard.
  const T guard = tile.function == ScoreFunction::kSigmoid ? static_cast<T>(1e-20) : T{0};
  for (int64_t row = 0; row < tile.num_rows(); ++row, p += num_experts, ids += top_k) {
    const T normalizer = normalizers[static_cast<size_t>(row)];
    const auto score = [=](int64_t k) { return ids[k] >= 0 ? normalizer * p[ids[k]] : T{0}; };
    T factor = static_cast<T>(rule.scaling_factor);
    if (rule.normalize) {
      T sum = guard;
      for (int64_t k = 0; k < top_k; ++k) sum += score(k);
      factor /= sum;
    }
    body(row, score, factor);
  }
}

template <typename T>
void Backward(const GateRule& rule, const ScoreTile& tile, ConstTensorView expert_ids,
              ConstTensorView dgates, const ScoreTileGradient& gradient) {
  const int64_t top_k = tile.selected.dim(1);
  const auto live = expert_ids.cpu<int32_t>();
  const auto ids = tile.selected.cpu<int32_t>();
  const auto dgate = dgates.cpu<T>();
  const auto dscore = gradient.selected_scores.cpu<T>();
  const T scale = static_cast<T>(rule.scaling_factor);
  ForEachRow<T>(rule, tile, [&](int64_t row, auto score, T factor) {
    const size_t begin = static_cast<size_t>(row * top_k);
    // d gate_j / d score_k = factor ([j = k] - gate_j / scale) when normalised.
    T mean = T{0};
    for (int64_t k = 0; rule.normalize && k < top_k; ++k) {
      const size_t copy = begin + static_cast<size_t>(k);
      if (live[copy] >= 0) mean += factor / scale * score(k) * dgate[copy];
    }
    for (int64_t k = 0; k < top_k; ++k) {
      const size_t copy = begin + static_cast<size_t>(k);
      // An expert that was never chosen has no score; the factor may then be one over zero.
      const bool chosen = ids[copy] >= 0;
      dscore[copy] = chosen ? factor * ((live[copy] >= 0 ? dgate[copy] : T{0}) - mean) : T{0};
    }
  });
}

}  // namespace

void ComputeGates(const Context& context, const GateRule& rule, const ScoreTile& tile,
                  TensorView gates) {
  (void)context;
  const int64_t top_k = tile.selected.dim(1);
  EQ_CHECK_EQ(gates.shape(), tile.selected.shape());
  DispatchFloat(gates.dtype(), [&]<typename T>() {
    T* out = gates.cpu<T>().data();
    const int32_t* ids = tile.selected.cpu<int32_t>().data();
    ForEachRow<T>(rule, tile, [&](int64_t row, auto score, T factor) {
      for (int64_t k = 0; k < top_k; ++k) {
        out[row * top_k + k] = ids[row * top_k + k] >= 0 ? factor * score(k) : T{0};
      }
    });
  });
}

void GatesBackward(const Context& context, const GateRule& rule, const ScoreTile& tile,
                   ConstTensorView expert_ids, ConstTensorView dgates,
                   const ScoreTileGradient& gradient) {
  (void)context;
  EQ_CHECK_EQ(dgates.shape(), tile.selected.shape());
  EQ_CHECK_EQ(expert_ids.shape(), tile.selected.shape());
  DispatchFloat(dgates.dtype(),
                [&]<typename T>() { Backward<T>(rule, tile, expert_ids, dgates, gradient); });
}

}  // namespace equipoise::routing
