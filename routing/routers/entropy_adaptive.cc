// Router "entropy_adaptive": undecided tokens get more experts (DynMoLE, arXiv 2504.00661),
// bounded. With p the softmax over the experts and S_q its Tsallis entropy: a token with S_q above
// entropy_threshold of the largest S_q takes all K experts; any other the fewest whose p add up to
// top_p, at least min_copies and at most K. Gates are p over its sum over the chosen. (DynMoLE
// gives undecided tokens all E; across machines that is ruinous, so K is the bound.) Parameter:
// `<prefix>gate.weight` [E, H].
//
// Settings: entropy_order (double), q >= 1; entropy_threshold (double), in [0, 1], a share of the
// largest entropy so that it means the same for any E; top_p (double), in (0, 1]; min_copies (int);
// bias, groups, jitter, entropy_loss, orthogonality_loss, shared pieces. The paper's loss on S_q is
// entropy_loss with the same order.

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "routing/losses/entropy.h"
#include "routing/option_problem.h"
#include "routing/score_router.h"
#include "routing/score_settings.h"

namespace equipoise::routing {
namespace {

struct AdaptiveOptions {
  double order = 1.1;
  double threshold = 0.9;
  double top_p = 0.75;
  int64_t min_copies = 2;
};

class EntropyTrimmer final : public CopyTrimmer {
 public:
  EntropyTrimmer(const AdaptiveOptions& options, int num_experts)
      : options_(options),
        num_experts_(num_experts),
        limit_(options.threshold * LargestEntropy(options.order, num_experts)) {}

  void Trim(const Context& context, const ScoreTile& tile, TensorView ids) const override {
    (void)context;
    const int64_t top_k = ids.dim(1);
    DispatchFloat(tile.probabilities.dtype(), [&]<typename T>() {
      const T* p = tile.probabilities.cpu<T>().data();
      int32_t* chosen = ids.cpu<int32_t>().data();
      for (int64_t row = 0; row < tile.num_rows(); ++row, p += num_experts_, chosen += top_k) {
        if (TsallisEntropy<T>(options_.order, {p, Experts()}) > limit_) continue;
        double sum = 0.0;
        for (int64_t k = 0; k < top_k; ++k) {
          if (k >= options_.min_copies && sum >= options_.top_p) {
            chosen[k] = -1;
          } else {
            sum += static_cast<double>(p[chosen[k]]);
          }
        }
      }
    });
  }

 private:
  size_t Experts() const { return static_cast<size_t>(num_experts_); }

  const AdaptiveOptions options_;
  const int64_t num_experts_;
  const double limit_;
};

absl::StatusOr<AdaptiveOptions> ReadAdaptive(const RouterOptions& options) {
  AdaptiveOptions adaptive;
  adaptive.order = options.settings.GetDouble("entropy_order");
  adaptive.threshold = options.settings.GetDouble("entropy_threshold");
  adaptive.top_p = options.settings.GetDouble("top_p");
  adaptive.min_copies = options.settings.GetInt("min_copies");
  std::vector<absl::Status> errors;
  const auto require = [&](const char* setting, bool holds, auto value, const char* what) {
    if (holds) return;
    errors.push_back(OptionError({setting, {}, absl::StrCat("is ", value, ", must be ", what)}));
  };
  require("entropy_order", adaptive.order >= 1.0, adaptive.order, "at least 1");
  require("entropy_threshold", adaptive.threshold >= 0.0 && adaptive.threshold <= 1.0,
          adaptive.threshold, "in [0, 1]");
  require("top_p", adaptive.top_p > 0.0 && adaptive.top_p <= 1.0, adaptive.top_p, "in (0, 1]");
  require("min_copies", adaptive.min_copies >= 1, adaptive.min_copies, "at least 1");
  EQ_RETURN_IF_ERROR(JoinErrors("router entropy_adaptive", errors));
  return adaptive;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Router>> MakeEntropyAdaptiveRouter(const RouterOptions& options,
                                                                  ParameterRegistry& parameters) {
  EQ_ASSIGN_OR_RETURN(const AdaptiveOptions adaptive, ReadAdaptive(options));
  EQ_ASSIGN_OR_RETURN(ScoreRouterParts parts, ReadScoreParts(options));
  parts.trimmer = std::make_unique<EntropyTrimmer>(adaptive, options.num_experts);
  EQ_RETURN_IF_ERROR(AddLinearLogits(options, parameters, parts));
  return std::make_unique<ScoreRouter>(options, std::move(parts));
}

}  // namespace equipoise::routing
