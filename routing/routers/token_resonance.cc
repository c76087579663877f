// Router "token_resonance": tokens choose, then experts choose among those (LocMoE+, also "Expert-
// Token Resonance", arXiv 2406.00023). Affinity is the cosine of the token and the expert's block
// of features, without parameters (block_logits.h). A token asks for its K experts of largest
// affinity, or, with a threshold, for the fewest whose affinities add up to it, at most K. Of each
// sequence an expert keeps the C tokens of largest affinity that asked for it (ties: the earlier
// token); a token that none keeps passes the layer by. Gates are the softmax over the experts that
// kept it.
//
// By sequence, so that the choice does not depend on the layout. Not causal where C binds. What an
// expert turns down counts as chosen and dropped, as with a capacity; only balance losses of scope
// SEQUENCE or MICRO_BATCH see what was kept.
//
// Settings:
//   capacity_factor (double)   C = ceil(capacity_factor * S * K / E); 0: an expert keeps all
//   capacity_safety (double)   adaptive capacity: C is also at least this times the paper's bound
//                              exp(H d^2 / (2 - d^2)) / E, d the largest affinity of the sequence
//   threshold (double)         0: exactly K experts
//   jitter, entropy_loss       shared pieces

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "routing/block_logits.h"
#include "routing/capacity_floor.h"
#include "routing/cpu/drop_copies.h"
#include "routing/option_problem.h"
#include "routing/score_router.h"
#include "routing/score_settings.h"
#include "routing/selection.h"

namespace equipoise::routing {
namespace {

struct ResonanceOptions {
  double capacity_factor = 1.0;
  double capacity_safety = 0.0;
  double threshold = 0.0;
};

class TokenResonance final : public SequenceSelector {
 public:
  TokenResonance(const ResonanceOptions& options, const RouterOptions& router)
      : options_(options),
        top_k_(router.top_k),
        num_experts_(router.num_experts),
        hidden_(static_cast<double>(router.hidden)),
        clamp_{router.num_experts, router.hidden, router.capacity.floor} {}

  int64_t max_copies() const override { return top_k_; }
  bool has_capacity_floor() const override { return options_.capacity_factor > 0.0; }

  void Select(const Context& context, const SequenceScores& sequence,
              TensorView expert_ids) const override {
    SelectTopK(context, sequence.logits, expert_ids);
    WorkspaceFrame frame(*context.scratch);
    const int64_t copies = expert_ids.num_elements();
    const TensorView scratch = context.scratch->Allocate(sequence.logits.dtype(), {copies});
    const auto members = context.scratch->Allocate(DType::kI64, {copies}).cpu<int64_t>();
    const auto next = context.scratch->Allocate(DType::kI64, {num_experts_ + 1}).cpu<int64_t>();
    const auto ids = expert_ids.cpu<int32_t>();
    SequenceReport ignored;
    SequenceReport& report = sequence.report != nullptr ? *sequence.report : ignored;
    DispatchFloat(sequence.logits.dtype(), [&]<typename T>() {
      const std::span<const T> logits = sequence.logits.cpu<T>();
      const auto affinities = scratch.cpu<T>();
      AskForFewest<T>(logits, ids, affinities);
      MeasureAngles<T>(sequence, ids, report);
      if (options_.capacity_factor == 0.0) return;
      report.capacity = Capacity<T>(logits, report.angles);
      CountAsked(ids, +1.0, report.refused);
      cpu::DropCopies<T>(report.capacity, ids, affinities, members, next);
      CountAsked(ids, -1.0, report.refused);
    });
    for (auto row = ids.begin(); row != ids.end(); row += top_k_) {
      std::stable_partition(row, row + top_k_, [](int32_t id) { return id >= 0; });
    }
  }

 private:
  // Fills the copies' affinities, and takes back the experts beyond the threshold.
  template <typename T>
  void AskForFewest(std::span<const T> logits, std::span<int32_t> ids,
                    std::span<T> affinities) const {
    const size_t top_k = static_cast<size_t>(top_k_);
    double sum = 0.0;
    for (size_t copy = 0; copy < ids.size(); ++copy) {
      if (copy % top_k == 0) sum = 0.0;
      const size_t row = copy / top_k * static_cast<size_t>(num_experts_);
      affinities[copy] = logits[row + static_cast<size_t>(ids[copy])];
      const bool enough = options_.threshold > 0.0 && copy % top_k > 0 && sum >= options_.threshold;
      sum += static_cast<double>(affinities[copy]);
      if (enough) ids[copy] = -1;
    }
  }

  // Of what tokens ask for, whatever else draws them home.
  template <typename T>
  void MeasureAngles(const SequenceScores& sequence, std::span<const int32_t> ids,
                     SequenceReport& report) const {
    const bool biased = !sequence.plain.absent();
    const auto cosines = biased ? sequence.plain.cpu<T>() : sequence.logits.cpu<T>();
    const auto experts = static_cast<size_t>(num_experts_);
    for (size_t copy = 0; copy < ids.size(); ++copy) {
      if (ids[copy] < 0) continue;
      const size_t row = copy / static_cast<size_t>(top_k_) * experts;
      report.angles.Add(static_cast<double>(cosines[row + static_cast<size_t>(ids[copy])]));
    }
  }

  // Adds `weight` for every copy there is.
  static void CountAsked(std::span<const int32_t> ids, double weight, std::span<double> refused) {
    if (refused.empty()) return;
    for (const int32_t id : ids) {
      if (id < 0) continue;
      refused[static_cast<size_t>(id)] += weight;
      refused.back() += weight;
    }
  }

  template <typename T>
  int64_t Capacity(std::span<const T> logits, const RouteAngles& angles) const {
    const double length = static_cast<double>(logits.size()) / static_cast<double>(num_experts_);
    double capacity = std::ceil(options_.capacity_factor * length * static_cast<double>(top_k_) /
                                static_cast<double>(num_experts_));
    if (options_.capacity_safety > 0.0 && !logits.empty()) {
      const double largest = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
      const double square = largest * largest;
      const double bound = std::exp(hidden_ * square / (2.0 - square));
      capacity = std::max(capacity, std::ceil(options_.capacity_safety * bound /
                                              static_cast<double>(num_experts_)));
    }
    const auto rounded = static_cast<int64_t>(std::max(1.0, std::min(capacity, length)));
    return clamp_.Apply(rounded, angles, static_cast<int64_t>(length));
  }

  const ResonanceOptions options_;
  const int64_t top_k_;
  const int64_t num_experts_;
  const double hidden_;
  const CapacityClamp clamp_;
};

absl::Status CheckNotNegative(const char* what, double value) {
  if (std::isfinite(value) && value >= 0.0) return absl::OkStatus();
  return OptionError("token_resonance",
                     {what, {}, absl::StrCat("is ", value, ", must be finite and not negative")});
}

}  // namespace

absl::StatusOr<std::unique_ptr<Router>> MakeTokenResonanceRouter(const RouterOptions& options,
                                                                 ParameterRegistry& parameters) {
  (void)parameters;
  EQ_RETURN_IF_ERROR(CheckNoQuota(options));
  ResonanceOptions resonance;
  resonance.capacity_factor = options.settings.GetDouble("capacity_factor");
  resonance.capacity_safety = options.settings.GetDouble("capacity_safety");
  resonance.threshold = options.settings.GetDouble("threshold");
  EQ_RETURN_IF_ERROR(CheckNotNegative("capacity_factor", resonance.capacity_factor));
  EQ_RETURN_IF_ERROR(CheckNotNegative("capacity_safety", resonance.capacity_safety));
  EQ_RETURN_IF_ERROR(CheckNotNegative("threshold", resonance.threshold));
  EQ_ASSIGN_OR_RETURN(ScoreRouterParts parts, ReadScoreParts(options));
  EQ_ASSIGN_OR_RETURN(parts.logits, MakeBlockLogits(options, BlockLogit::kCosine));
  parts.angles.dimensions = options.hidden;
  parts.sequence = std::make_unique<TokenResonance>(resonance, options);
  return std::make_unique<ScoreRouter>(options, std::move(parts));
}

}  // namespace equipoise::routing
