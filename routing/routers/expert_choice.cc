// Router "expert_choice": experts choose tokens (Zhou et al., 2022, arXiv 2202.09368). With s the
// softmax over the experts, each expert takes from every sequence the C = ceil(capacity_factor * S
// * K / E) tokens that score it highest (ties: the earlier token), at most all S; gates are s. Load
// is even by construction, and a token gets any number of experts, also none. Parameter:
// `<prefix>gate.weight` [E, H].
//
// By sequence, so that the choice does not depend on the layout. It is NOT causal: whether a token
// gets an expert depends on later tokens of its sequence, in evaluation too. Compare its loss with
// others' with that in mind.
//
// Settings:
//   capacity_factor (double)   c; 1: as many copies as K a token, up to rounding
//   max_copies (int)           a token keeps its best so many; 0: E. Bounds the memory of ids and
//                              gates, [T, max_copies]
//   jitter, entropy_loss, orthogonality_loss   shared pieces

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "routing/cpu/coarse_score.h"
#include "routing/cpu/score_rows.h"
#include "routing/cpu/top_k_rows.h"
#include "routing/option_problem.h"
#include "routing/score_router.h"
#include "routing/score_settings.h"

namespace equipoise::routing {
namespace {

class ExpertChoice final : public SequenceSelector {
 public:
  ExpertChoice(const RouterOptions& options, double capacity_factor, int64_t max_copies)
      : copies_per_token_(capacity_factor * options.top_k),
        num_experts_(options.num_experts),
        max_copies_(max_copies) {}

  int64_t max_copies() const override { return max_copies_; }

  void Select(const Context& context, const SequenceScores& sequence,
              TensorView expert_ids) const override {
    WorkspaceFrame frame(*context.scratch);
    const DType dtype = sequence.logits.dtype();
    const TensorView scores = context.scratch->Allocate(dtype, sequence.logits.shape());
    const TensorView chosen = context.scratch->Allocate(dtype, sequence.logits.shape());
    const auto order =
        context.scratch->Allocate(DType::kI32, {sequence.logits.dim(0)}).cpu<int32_t>();
    DispatchFloat(dtype, [&]<typename T>() {
      const T* logits = sequence.logits.cpu<T>().data();
      for (int64_t t = 0; t < scores.dim(0); ++t) {
        cpu::SoftmaxRow<T>(logits + t * num_experts_, num_experts_,
                           scores.cpu<T>().data() + t * num_experts_);
      }
      const int64_t capacity = ChooseTokens<T>(scores.cpu<T>(), chosen.cpu<T>(), order);
      if (sequence.report != nullptr) sequence.report->capacity = capacity;
      CollectExperts<T>(chosen.cpu<T>(), expert_ids);
    });
  }

 private:
  // What marks an expert that did not choose a token: below every score.
  static constexpr int kNotChosen = -1;

  // chosen [S, E]: the score where the expert takes the token. Returns how many each takes.
  template <typename T>
  int64_t ChooseTokens(std::span<const T> scores, std::span<T> chosen,
                       std::span<int32_t> order) const {
    std::fill(chosen.begin(), chosen.end(), T{kNotChosen});
    const size_t experts = static_cast<size_t>(num_experts_);
    const double length = static_cast<double>(order.size());
    const double even = std::ceil(copies_per_token_ * length / num_experts_);
    const auto capacity = static_cast<int64_t>(std::min(even, length));
    for (size_t e = 0; e < experts; ++e) {
      const auto score = [&](int32_t token) {
        return cpu::CoarseScore(scores[static_cast<size_t>(token) * experts + e]);
      };
      for (size_t t = 0; t < order.size(); ++t) order[t] = static_cast<int32_t>(t);
      std::nth_element(
          order.begin(), order.begin() + capacity, order.end(),
          [&](int32_t a, int32_t b) { return score(a) != score(b) ? score(a) > score(b) : a < b; });
      for (int64_t i = 0; i < capacity; ++i) {
        const int32_t token = order[static_cast<size_t>(i)];
        chosen[static_cast<size_t>(token) * experts + e] =
            scores[static_cast<size_t>(token) * experts + e];
      }
    }
    return capacity;
  }

  template <typename T>
  void CollectExperts(std::span<const T> chosen, TensorView expert_ids) const {
    const T* row = chosen.data();
    int32_t* ids = expert_ids.cpu<int32_t>().data();
    for (int64_t t = 0; t < expert_ids.dim(0); ++t) {
      cpu::TopKRow<T>(row, num_experts_, max_copies_, ids);
      for (int64_t k = 0; k < max_copies_; ++k) {
        if (row[ids[k]] == T{kNotChosen}) ids[k] = -1;
      }
      row += num_experts_;
      ids += max_copies_;
    }
  }

  const double copies_per_token_;
  const int64_t num_experts_;
  const int64_t max_copies_;
};

absl::Status Refuse(const RouterOptions& options) {
  std::vector<absl::Status> errors;
  if (options.balance_loss.coefficient > 0.0) {
    errors.push_back(OptionError(
        {"",
         {"moe.balance_loss.coefficient"},
         "router expert_choice is balanced by construction: set balance_loss.coefficient to 0"}));
  }
  if (options.capacity.factor > 0.0) {
    errors.push_back(OptionError(
        {"",
         {"moe.capacity_factor"},
         "router expert_choice has a capacity_factor of its own: set moe.capacity_factor to 0"}));
  }
  return JoinErrors("", errors);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Router>> MakeExpertChoiceRouter(const RouterOptions& options,
                                                               ParameterRegistry& parameters) {
  EQ_RETURN_IF_ERROR(CheckNoPreference(options));
  EQ_RETURN_IF_ERROR(Refuse(options));
  const double factor = options.settings.GetDouble("capacity_factor");
  const int64_t asked = options.settings.GetInt("max_copies");
  if (!(std::isfinite(factor) && factor > 0.0)) {
    return OptionError(options.kind,
                       {"capacity_factor", {}, absl::StrCat("is ", factor, ", must be above 0")});
  }
  if (asked < 0 || asked > options.num_experts) {
    return OptionError({"max_copies",
                        {"moe.num_experts"},
                        absl::StrCat("is ", asked, ", not in [0, ", options.num_experts, "]")});
  }
  ScoreRouterParts parts;
  parts.gates.normalize = false;
  EQ_ASSIGN_OR_RETURN(parts, ReadScoreParts(options, std::move(parts)));
  parts.sequence =
      std::make_unique<ExpertChoice>(options, factor, asked == 0 ? options.num_experts : asked);
  EQ_RETURN_IF_ERROR(AddLinearLogits(options, parameters, parts));
  return std::make_unique<ScoreRouter>(options, std::move(parts));
}

}  // namespace equipoise::routing
