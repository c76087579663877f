#include "routing/scores.h"

#include <algorithm>

#include "core/base/check.h"
#include "routing/cpu/score_rows.h"

namespace equipoise::routing {
namespace {

// Keeps the sum of sigmoids from zero when every one underflows (DeepSeek-V3's own guard).
constexpr double kSmallestNormalizer = 1e-20;

template <typename T>
void SoftmaxTile(const ScoreTile& tile) {
  const int64_t num_experts = tile.num_experts();
  const T* logits = tile.logits.cpu<T>().data();
  T* softmax = tile.softmax.cpu<T>().data();
  const auto log_sum_exp = tile.log_sum_exp.cpu<T>();
  for (size_t row = 0; row < log_sum_exp.size(); ++row) {
    log_sum_exp[row] = cpu::SoftmaxRow(logits, num_experts, softmax);
    logits += num_experts;
    softmax += num_experts;
  }
}

template <typename T>
void SigmoidTile(const ScoreTile& tile) {
  const int64_t num_experts = tile.num_experts();
  const T* logits = tile.logits.cpu<T>().data();
  T* p = tile.probabilities.cpu<T>().data();
  for (T& normalizer : tile.normalizers.cpu<T>()) {
    normalizer = cpu::SigmoidRow(logits, num_experts, p) + static_cast<T>(kSmallestNormalizer);
    cpu::ScaleRow(T{1} / normalizer, num_experts, p);
    logits += num_experts;
    p += num_experts;
  }
}

template <typename T>
void BackwardTile(const ScoreTile& tile, const ScoreTileGradient& gradient) {
  const int64_t num_experts = tile.num_experts();
  const int64_t top_k = tile.selected.dim(1);
  const auto normalizers = tile.normalizers.cpu<T>();
  const T* p = tile.probabilities.cpu<T>().data();
  const int32_t* ids = tile.selected.cpu<int32_t>().data();
  T* dp = gradient.probabilities.cpu<T>().data();
  const T* ds = gradient.selected_scores.cpu<T>().data();
  T* dlogits = gradient.logits.cpu<T>().data();
  for (const T normalizer : normalizers) {
    if (tile.function == ScoreFunction::kSoftmax) {
      for (int64_t k = 0; k < top_k; ++k) {
        if (ids[k] >= 0) dp[ids[k]] += ds[k];
      }
      cpu::AddSoftmaxGradientRow(p, dp, cpu::DotRow(p, dp, num_experts), num_experts, dlogits);
    } else {
      cpu::AddSigmoidGradientRow(p, normalizer, dp, cpu::DotRow(p, dp, num_experts), num_experts,
                                 dlogits);
      for (int64_t k = 0; k < top_k; ++k) {
        if (ids[k] < 0) continue;
        const T score = normalizer * p[ids[k]];
        dlogits[ids[k]] += score * (T{1} - score) * ds[k];
      }
    }
    p += num_experts;
    dp += num_experts;
    dlogits += num_experts;
    ids += top_k;
    ds += top_k;
  }
}

template <typename T>
double EntropiesOfTile(const ScoreTile& tile) {
  const int64_t num_experts = tile.num_experts();
  const T* p = tile.probabilities.cpu<T>().data();
  double sum = 0.0;
  if (tile.function == ScoreFunction::kSoftmax) {
    // -sum p log p = log sum exp - <p, logits>: one logarithm a token, not one an expert.
    const T* logits = tile.logits.cpu<T>().data();
    for (const T log_sum_exp : tile.log_sum_exp.cpu<T>()) {
      sum += static_cast<double>(log_sum_exp - cpu::DotRow(p, logits, num_experts));
      p += num_experts;
      logits += num_experts;
    }
    return sum;
  }
  for (int64_t row = 0; row < tile.num_rows(); ++row) {
    sum += static_cast<double>(cpu::EntropyRow(p + row * num_experts, num_experts));
  }
  return sum;
}

TensorView RowsOrAbsent(const TensorView& view, int64_t rows) {
  return view.absent() ? view : view.Rows(0, rows);
}

}  // namespace

ScoreTile AllocateScoreTile(Workspace& workspace, DType dtype, ScoreFunction function,
                            int64_t max_rows, int64_t num_experts, bool with_softmax) {
  ScoreTile tile;
  tile.function = function;
  tile.logits = workspace.Allocate(dtype, {max_rows, num_experts});
  tile.probabilities = workspace.Allocate(dtype, {max_rows, num_experts});
  tile.normalizers = workspace.Allocate(dtype, {max_rows});
  if (function == ScoreFunction::kSoftmax) {
    tile.softmax = tile.probabilities;
  } else if (with_softmax) {
    tile.softmax = workspace.Allocate(dtype, {max_rows, num_experts});
  }
  if (!tile.softmax.absent()) tile.log_sum_exp = workspace.Allocate(dtype, {max_rows});
  return tile;
}

ScoreTileGradient AllocateScoreTileGradient(Workspace& workspace, DType dtype, int64_t max_rows,
                                            int64_t num_experts, int64_t top_k) {
  ScoreTileGradient gradient;
  gradient.probabilities = workspace.Allocate(dtype, {max_rows, num_experts});
  gradient.selected_scores = workspace.Allocate(dtype, {max_rows, top_k});
  gradient.logits = workspace.Allocate(dtype, {max_rows, num_experts});
  return gradient;
}

ScoreTile FirstRows(const ScoreTile& tile, int64_t rows) {
  ScoreTile result = tile;
  result.logits = tile.logits.Rows(0, rows);
  result.probabilities = tile.probabilities.Rows(0, rows);
  result.normalizers = tile.normalizers.Rows(0, rows);
  result.softmax = RowsOrAbsent(tile.softmax, rows);
  result.log_sum_exp = RowsOrAbsent(tile.log_sum_exp, rows);
  result.latent.directions = RowsOrAbsent(tile.latent.directions, rows);
  result.latent.inverse_norms = RowsOrAbsent(tile.latent.inverse_norms, rows);
  result.latent.similarities = RowsOrAbsent(tile.latent.similarities, rows);
  return result;
}

ScoreTileGradient FirstRows(const ScoreTileGradient& gradient, int64_t rows) {
  return {
      gradient.probabilities.Rows(0, rows),
      gradient.selected_scores.Rows(0, rows),
      gradient.logits.Rows(0, rows),
      {RowsOrAbsent(gradient.latent.moments, rows), RowsOrAbsent(gradient.latent.directions, rows),
       RowsOrAbsent(gradient.latent.similarities, rows)}};
}

void ComputeScores(const Context& context, const ScoreTile& tile) {
  (void)context;
  DispatchFloat(tile.logits.dtype(), [&]<typename T>() {
    if (!tile.softmax.absent()) SoftmaxTile<T>(tile);
    if (tile.function == ScoreFunction::kSigmoid) return SigmoidTile<T>(tile);
    const auto normalizers = tile.normalizers.cpu<T>();
    std::fill(normalizers.begin(), normalizers.end(), T{1});
  });
}

double SumOfEntropies(const Context& context, const ScoreTile& tile) {
  (void)context;
  return DispatchFloat(tile.logits.dtype(), [&]<typename T>() { return EntropiesOfTile<T>(tile); });
}

void ScoresBackward(const Context& context, const ScoreTile& tile,
                    const ScoreTileGradient& gradient) {
  (void)context;
  EQ_CHECK_EQ(gradient.logits.shape(), tile.logits.shape());
  DispatchFloat(tile.logits.dtype(), [&]<typename T>() { BackwardTile<T>(tile, gradient); });
}

}  // namespace equipoise::routing
