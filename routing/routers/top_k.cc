// Router "top_k": logits = x W^T, every token takes its K best experts (Shazeer et al., 2017;
// Mixtral; Qwen3-MoE; DeepSeek-V3 without bias and groups). Parameter: `<prefix>gate.weight` [E,
// H].
//
// Settings:
//   score (string)           "SOFTMAX": over all experts. "SIGMOID": of each expert by itself.
//   selection (string)       "SCORE_ALL": scores of all experts, then the K best of them.
//                            "SCORE_SELECTED": the K best first, then scores among them alone; a
//                            softmax then sums to one whatever `renormalise` says, a sigmoid is the
//                            same either way.
//   renormalise (bool)       divide the gates by their sum over the K chosen
//   scaling_factor (double)  multiplies every gate; finite, > 0
// Mixtral and Qwen3-MoE with norm_topk_prob: SOFTMAX, SCORE_ALL, true, 1.
// DeepSeek-V3: SIGMOID, SCORE_ALL, true, 2.5.
//
// The probabilities that losses and the entropy are taken of: the softmax, or s / sum s.

#include <cmath>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "routing/score_router.h"

namespace equipoise::routing {
namespace {

// Whether a setting that is one of two names has the second one.
absl::StatusOr<bool> IsSecond(const Settings& settings, const char* setting, const char* first,
                              const char* second) {
  const std::string& value = settings.GetString(setting);
  if (value == first) return false;
  if (value == second) return true;
  return absl::InvalidArgumentError(
      absl::StrCat("router top_k: ", setting, " is '", value, "', not ", first, " or ", second));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Router>> MakeTopKRouter(const RouterOptions& options,
                                                       ParameterRegistry& parameters) {
  EQ_ASSIGN_OR_RETURN(const bool sigmoid,
                      IsSecond(options.settings, "score", "SOFTMAX", "SIGMOID"));
  EQ_ASSIGN_OR_RETURN(const bool selected_only,
                      IsSecond(options.settings, "selection", "SCORE_ALL", "SCORE_SELECTED"));
  const double scaling_factor = options.settings.GetDouble("scaling_factor");
  if (!std::isfinite(scaling_factor) || scaling_factor <= 0.0) {
    return absl::InvalidArgumentError(
        absl::StrCat("router top_k: scaling_factor is ", scaling_factor, ", must be above 0"));
  }
  ScoreRouterParts parts;
  parts.score = sigmoid ? ScoreFunction::kSigmoid : ScoreFunction::kSoftmax;
  // A softmax over the chosen logits is the softmax over all, divided by its sum over the chosen.
  parts.gates.normalize = options.settings.GetBool("renormalise") || (selected_only && !sigmoid);
  parts.gates.scaling_factor = scaling_factor;
  parts.logits = MakeLinearLogits(options, parameters);
  return std::make_unique<ScoreRouter>(options, std::move(parts));
}

}  // namespace equipoise::routing
