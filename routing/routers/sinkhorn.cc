// Router "sinkhorn": balanced choice by optimal transport (Clark et al., S-BASE, 2022; as in
// Megatron-LM). Per sequence, exp(logits) is scaled by rows and columns in turn until rows and
// columns have even sums; a token takes its K largest entries. Gates are of the unscaled scores. In
// evaluation a token takes its K best logits, so that nothing looks ahead. Parameter:
// `<prefix>gate.weight` [E, H].
//
// Per sequence, so that the choice does not depend on the layout; in training it is not causal.
//
// Settings:
//   score, renormalise, scaling_factor   as top_k's, of the gates
//   iterations (int)     at most so many pairs of scalings
//   tolerance (double)   stop when the columns' scales change less than this, on average (Megatron:
//                        1e-4)
//   jitter, entropy_loss, orthogonality_loss   shared pieces

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "routing/cpu/coarse_score.h"
#include "routing/option_problem.h"
#include "routing/score_router.h"
#include "routing/score_settings.h"
#include "routing/selection.h"

namespace equipoise::routing {
namespace {

class Sinkhorn final : public SequenceSelector {
 public:
  Sinkhorn(const RouterOptions& options, int64_t iterations, double tolerance)
      : top_k_(options.top_k), iterations_(iterations), tolerance_(tolerance) {}

  int64_t max_copies() const override { return top_k_; }

  void Select(const Context& context, const SequenceScores& sequence,
              TensorView expert_ids) const override {
    if (!sequence.training) return SelectTopK(context, sequence.logits, expert_ids);
    WorkspaceFrame frame(*context.scratch);
    const Shape shape = sequence.logits.shape();
    const TensorView ranking = context.scratch->Allocate(DType::kF64, shape);
    const auto kernel = ranking.cpu<double>();
    FillKernel(sequence.logits, kernel);
    const auto scales = context.scratch->Allocate(DType::kF64, {shape[1]}).cpu<double>();
    const auto next = context.scratch->Allocate(DType::kF64, {shape[1]}).cpu<double>();
    std::fill(scales.begin(), scales.end(), 1.0);
    for (int64_t i = 0; i < iterations_ && Iterate(kernel, scales, next) > tolerance_; ++i) {
    }
    MakeRanking(scales, kernel);
    SelectTopK(context, ranking, expert_ids);
  }

 private:
  static constexpr double kSmallestSum = 1e-8;  // Megatron's guard

  // exp(logits), each row over its largest entry, which its own scale takes up again.
  static void FillKernel(ConstTensorView logits, std::span<double> kernel) {
    const size_t experts = static_cast<size_t>(logits.dim(1));
    DispatchFloat(logits.dtype(), [&]<typename T>() {
      const auto from = logits.cpu<T>();
      for (size_t begin = 0; begin < from.size(); begin += experts) {
        const auto row = from.subspan(begin, experts);
        const T largest = *std::max_element(row.begin(), row.end());
        for (size_t e = 0; e < experts; ++e) {
          kernel[begin + e] = std::exp(static_cast<double>(row[e] - largest));
        }
      }
    });
  }

  // The scaled entries, each over its row's mean, which changes nothing about a row's order, and
  // compared coarsely. Where a sequence's tokens are all alike, and text has such runs, every
  // expert suits them equally: the entries are 1 but for rounding, and then ties on every layout.
  static void MakeRanking(std::span<const double> scales, std::span<double> kernel) {
    const size_t experts = scales.size();
    for (size_t begin = 0; begin < kernel.size(); begin += experts) {
      const auto row = kernel.subspan(begin, experts);
      const double mean = std::inner_product(row.begin(), row.end(), scales.begin(), 0.0) /
                          static_cast<double>(experts);
      for (size_t e = 0; e < experts; ++e) row[e] = cpu::CoarseScore(row[e] * scales[e] / mean);
    }
  }

  // One scaling of rows, then of columns. Returns the mean change of the columns' scales, which
  // are of mean 1 so that the tolerance has a meaning.
  static double Iterate(std::span<const double> kernel, std::span<double> scales,
                        std::span<double> next) {
    const size_t experts = scales.size();
    std::fill(next.begin(), next.end(), 0.0);
    for (size_t begin = 0; begin < kernel.size(); begin += experts) {
      const auto row = kernel.subspan(begin, experts);
      const double sum = std::inner_product(row.begin(), row.end(), scales.begin(), kSmallestSum);
      for (size_t e = 0; e < experts; ++e) next[e] += row[e] / sum;
    }
    double total = 0.0;
    for (double& value : next) {
      value = 1.0 / (value + kSmallestSum);
      total += value;
    }
    const double mean = total / static_cast<double>(experts);
    double change = 0.0;
    for (size_t e = 0; e < experts; ++e) {
      change += std::fabs(next[e] / mean - scales[e]);
      scales[e] = next[e] / mean;
    }
    return change / static_cast<double>(experts);
  }

  const int64_t top_k_;
  const int64_t iterations_;
  const double tolerance_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Router>> MakeSinkhornRouter(const RouterOptions& options,
                                                           ParameterRegistry& parameters) {
  EQ_RETURN_IF_ERROR(CheckNoPreference(options));
  const int64_t iterations = options.settings.GetInt("iterations");
  const double tolerance = options.settings.GetDouble("tolerance");
  if (iterations < 1) {
    return OptionError(options.kind,
                       {"iterations", {}, absl::StrCat("is ", iterations, ", must be at least 1")});
  }
  if (!(tolerance >= 0.0)) {
    return OptionError(options.kind,
                       {"tolerance", {}, absl::StrCat("is ", tolerance, ", must be at least 0")});
  }
  EQ_ASSIGN_OR_RETURN(ScoreRouterParts parts, ReadScoreParts(options));
  parts.sequence = std::make_unique<Sinkhorn>(options, iterations, tolerance);
  EQ_RETURN_IF_ERROR(AddLinearLogits(options, parameters, parts));
  return std::make_unique<ScoreRouter>(options, std::move(parts));
}

}  // namespace equipoise::routing
