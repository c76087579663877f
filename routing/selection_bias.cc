#include "routing/selection_bias.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "routing/cpu/score_rows.h"
#include "routing/option_problem.h"
#include "routing/selection.h"

namespace equipoise::routing {
absl::Status CheckSelectionBias(const SelectionBiasOptions& options) {
  if (options.rule == BiasRule::kNone) return absl::OkStatus();
  const bool quantile = options.rule == BiasRule::kQuantile;
  const double most = quantile ? 1.0 : 1e6;
  std::vector<absl::Status> errors;
  if (!(options.rate > 0.0 && options.rate <= most)) {
    errors.push_back(OptionError({"rate",
                                  {"rule"},
                                  absl::StrCat("is ", options.rate, ", must be in (0, ", most, "]",
                                               quantile ? ": a share of the quantile" : "")}));
  }
  if (quantile && (options.bins < 2 || options.bins > 65536 || options.bins % 2 != 0)) {
    errors.push_back(OptionError(
        {"bins", {"rule"}, absl::StrCat("is ", options.bins, ", must be even and in [2, 65536]")}));
  }
  if (quantile && !(std::isfinite(options.range) && options.range > 0.0)) {
    errors.push_back(
        OptionError({"margin_range",
                     {"rule"},
                     absl::StrCat("is ", options.range, ", must be finite and above 0")}));
  }
  return JoinErrors("", errors);
}

SelectionBias::SelectionBias(const SelectionBiasOptions& options, int num_experts, int top_k)
    : options_(options),
      num_experts_(num_experts),
      top_k_(top_k),
      bias_(enabled() ? static_cast<size_t>(num_experts) : 0, 0.0) {}

// With K = E every token takes every expert, and there is no margin.
bool SelectionBias::counts_margins() const {
  return options_.rule == BiasRule::kQuantile && top_k_ < num_experts_;
}

int64_t SelectionBias::num_statistics() const {
  return counts_margins() ? int64_t{num_experts_} * options_.bins : 0;
}

void SelectionBias::AddTo(const Context& context, TensorView ranking) const {
  if (!enabled()) return;
  DispatchFloat(ranking.dtype(), [&]<typename T>() {
    WorkspaceFrame frame(*context.scratch);
    const auto bias = context.scratch->Allocate(ranking.dtype(), {num_experts_}).cpu<T>();
    for (size_t e = 0; e < bias_.size(); ++e) bias[e] = static_cast<T>(bias_[e]);
    T* row = ranking.cpu<T>().data();
    for (int64_t t = 0; t < ranking.dim(0); ++t, row += bias_.size()) {
      cpu::AddScaledRow(T{1}, bias.data(), num_experts_, row);
    }
  });
}

double SelectionBias::Edge(int bin) const {
  const double u = 2.0 * bin / options_.bins - 1.0;
  return options_.range * u * std::fabs(u);
}

void SelectionBias::Accumulate(const Context& context, ConstTensorView ranking,
                               std::span<double> sums) const {
  if (!counts_margins()) return;
  const size_t experts = static_cast<size_t>(num_experts_);
  EQ_CHECK_EQ(sums.size(), static_cast<size_t>(num_statistics()));
  WorkspaceFrame frame(*context.scratch);
  const int64_t rows = ranking.dim(0);
  const TensorView best = context.scratch->Allocate(DType::kI32, {rows, top_k_ + 1});
  const TensorView bins = context.scratch->Allocate(ranking.dtype(), {num_experts_});
  SelectTopK(context, ranking, best);
  DispatchFloat(ranking.dtype(), [&]<typename T>() {
    const T* row = ranking.cpu<T>().data();
    const int32_t* chosen = best.cpu<int32_t>().data();
    T* bin = bins.cpu<T>().data();
    for (int64_t t = 0; t < rows; ++t, row += experts, chosen += top_k_ + 1) {
      const cpu::MarginBins<T> margins = {row[chosen[top_k_]], static_cast<T>(options_.range),
                                          static_cast<T>(options_.bins)};
      cpu::MarginBinsRow(margins, row, num_experts_, bin);
      double* histogram = sums.data();
      for (size_t e = 0; e < experts; ++e, histogram += options_.bins) {
        histogram[static_cast<int32_t>(bin[e])] += 1.0;
      }
    }
  });
}

absl::Status SelectionBias::SetState(std::span<const double> state) {
  if (state.size() != bias_.size()) {
    return absl::InvalidArgumentError(absl::StrCat("a selection bias of ", bias_.size(),
                                                   " experts is given ", state.size(), " values"));
  }
  std::copy(state.begin(), state.end(), bias_.begin());
  return absl::OkStatus();
}

double SelectionBias::Quantile(std::span<const double> histogram, double wanted) const {
  double above = 0.0;
  for (int bin = options_.bins - 1; bin >= 0; --bin) {
    const double count = histogram[static_cast<size_t>(bin)];
    if (count > 0.0 && above + count >= wanted) {
      return Edge(bin + 1) - (wanted - above) / count * (Edge(bin + 1) - Edge(bin));
    }
    above += count;
  }
  return Edge(0);
}

void SelectionBias::Centre() {
  const double mean = std::accumulate(bias_.begin(), bias_.end(), 0.0) / num_experts_;
  for (double& b : bias_) b -= mean;
}

void SelectionBias::EndStep(std::span<const double> counts, std::span<const double> sums,
                            int64_t tokens) {
  if (!enabled() || tokens == 0) return;
  const double total = std::accumulate(counts.begin(), counts.end(), 0.0);
  const double mean = total / num_experts_;
  if (mean == 0.0) return;
  for (size_t e = 0; e < bias_.size(); ++e) {
    const double lack = mean - counts[e];
    if (options_.rule == BiasRule::kSign) {
      bias_[e] += lack == 0.0 ? 0.0 : std::copysign(options_.rate, lack);
    } else if (options_.rule == BiasRule::kProportional) {
      bias_[e] += options_.rate * std::clamp(lack / mean, -1.0, 1.0);
    } else if (counts_margins()) {
      const size_t bins = static_cast<size_t>(options_.bins);
      const double wanted = static_cast<double>(tokens) * top_k_ / num_experts_;
      bias_[e] -= options_.rate * Quantile(sums.subspan(e * bins, bins), wanted);
    }
  }
  if (options_.centre || options_.rule == BiasRule::kProportional) Centre();
}

}  // namespace equipoise::routing
