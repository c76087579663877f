// Ties the pieces of an LPR router together: encoder, prototypes, similarity, losses, read-out.
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "routing/angles.h"
#include "routing/losses/alignment.h"
#include "routing/losses/latent_kl.h"
#include "routing/losses/prototype_spread.h"
#include "routing/losses/soft_load.h"
#include "routing/losses/token_isotropy.h"
#include "routing/lpr/decode.h"
#include "routing/lpr/encoder.h"
#include "routing/lpr/options.h"
#include "routing/lpr/prototypes.h"
#include "routing/lpr/scorer.h"
#include "routing/lpr/similarity.h"
#include "routing/lpr/spherical_code.h"
#include "routing/option_problem.h"
#include "routing/score_router.h"
#include "routing/score_settings.h"

namespace equipoise::routing {
namespace {

void RequirePositive(const char* name, double value, std::vector<absl::Status>& errors) {
  if (std::isfinite(value) && value > 0.0) return;
  errors.push_back(OptionError({name, {"mode"}, absl::StrCat("is ", value, ", must be above 0")}));
}

void CheckWeights(const LprOptions& options, std::vector<absl::Status>& errors) {
  const LprLossWeights& weights = options.weights;
  const std::pair<const char*, double> all[] = {
      {"losses.kl", weights.kl},
      {"losses.token_diversity", weights.token_diversity},
      {"losses.mean_direction", weights.mean_direction},
      {"losses.prototype_diversity", weights.prototype_diversity},
      {"losses.prototype_repulsion", weights.prototype_repulsion},
      {"losses.alignment", weights.alignment},
      {"losses.soft_load", weights.soft_load},
  };
  for (const auto& [name, weight] : all) {
    if (std::isfinite(weight) && weight >= 0.0) continue;
    errors.push_back(OptionError(
        {name, {}, absl::StrCat("is ", weight, ", must be at least 0, or -1 for the mode's")}));
  }
  const bool moves_prototypes = weights.prototype_diversity > 0.0 ||
                                weights.prototype_repulsion > 0.0 || weights.alignment > 0.0;
  if (options.prototypes == PrototypeRule::kFixed && moves_prototypes) {
    errors.push_back(
        OptionError({"",
                     {"prototypes", "losses.prototype_diversity", "losses.prototype_repulsion",
                      "losses.alignment"},
                     "losses prototype_diversity, prototype_repulsion and alignment move "
                     "prototypes, but prototypes are FIXED"}));
  }
}

absl::Status CheckLprOptions(const RouterOptions& router, const LprOptions& options) {
  std::vector<absl::Status> errors;
  if (options.latent_dim < 2) {
    errors.push_back(OptionError(
        {"latent_dim",
         {},
         absl::StrCat("is ", options.latent_dim,
                      ", must be at least 2: in one dimension a direction is a mere sign")}));
  }
  RequirePositive("temperature", options.temperature, errors);
  RequirePositive("losses.soft_load_temperature", options.soft_load_temperature, errors);
  RequirePositive("losses.repulsion_beta", options.repulsion_beta, errors);
  CheckWeights(options, errors);
  const LprLossWeights& weights = options.weights;
  const bool of_step = weights.token_diversity > 0.0 || weights.mean_direction > 0.0 ||
                       weights.alignment > 0.0 || weights.soft_load > 0.0;
  if (of_step && router.balance_loss.coefficient > 0.0 &&
      router.balance_loss.scope == LossScope::kRunning) {
    errors.push_back(
        OptionError({"",
                     {"moe.balance_loss.scope"},
                     "balance_loss.scope RUNNING cannot be combined with losses over the whole "
                     "step: take GLOBAL_BATCH, or coefficient 0"}));
  }
  return JoinErrors("", errors);
}

std::shared_ptr<Prototypes> MakePrototypes(const RouterOptions& router, const LprOptions& options,
                                           ParameterRegistry& parameters) {
  const int64_t dimensions = options.latent_dim;
  if (options.prototypes == PrototypeRule::kFixed) {
    return Prototypes::Fixed(dimensions, SphericalCode(router.num_experts, dimensions));
  }
  return Prototypes::Learned(router, dimensions, options.prototypes == PrototypeRule::kLearnedUnit,
                             parameters);
}

void AddLosses(const RouterOptions& router, const LprOptions& options,
               const std::shared_ptr<Prototypes>& prototypes, std::unique_ptr<LatentNoise> noise,
               std::vector<std::unique_ptr<RouterLoss>>& losses) {
  const LprLossWeights& weights = options.weights;
  const int64_t dimensions = options.latent_dim;
  if (weights.kl > 0.0) losses.push_back(MakeLatentKlLoss(weights.kl));
  if (weights.token_diversity > 0.0) {
    losses.push_back(MakeTokenDiversityLoss(weights.token_diversity, dimensions));
  }
  if (weights.mean_direction > 0.0) {
    losses.push_back(MakeMeanDirectionLoss(weights.mean_direction, dimensions));
  }
  if (weights.prototype_diversity > 0.0) {
    losses.push_back(MakePrototypeDiversityLoss(weights.prototype_diversity, prototypes));
  }
  if (weights.prototype_repulsion > 0.0) {
    losses.push_back(MakePrototypeRepulsionLoss(weights.prototype_repulsion, options.repulsion_beta,
                                                prototypes));
  }
  if (weights.alignment > 0.0) {
    losses.push_back(MakeAlignmentLoss(weights.alignment, prototypes, std::move(noise)));
  }
  if (weights.soft_load > 0.0) {
    losses.push_back(
        MakeSoftLoadLoss(weights.soft_load, options.soft_load_temperature, router.num_experts));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Router>> MakeLpr(const RouterOptions& router,
                                                const LprOptions& options,
                                                std::unique_ptr<LatentNoise> noise,
                                                ParameterRegistry& parameters) {
  absl::StatusOr<ScoreRouterParts> shared = ReadScoreParts(router);
  EQ_RETURN_IF_ERROR(JoinErrors("router lpr", {CheckLprOptions(router, options), shared.status()}));
  ScoreRouterParts parts = *std::move(shared);
  if (parts.selection.rank_by == RankBy::kScores) {
    parts.selection.rank_by = RankBy::kSimilarities;
  }
  LprScorerParts scorer;
  EQ_ASSIGN_OR_RETURN(scorer.similarity,
                      MakeSimilarity(router, options.similarity, options.latent_dim, parameters));
  if (scorer.similarity->needs_log_variances() && !options.log_variances) {
    return OptionError({"similarity",
                        {"mode"},
                        absl::StrCat(options.similarity,
                                     " compares distributions: it needs mode "
                                     "REFERENCE, which has variances")});
  }
  if (options.prototypes != PrototypeRule::kLearned && options.similarity != "COSINE") {
    return OptionError({"similarity",
                        {"prototypes", "mode"},
                        absl::StrCat(options.similarity,
                                     " is not of directions alone: it needs prototypes LEARNED")});
  }
  scorer.encoder = std::make_unique<LatentEncoder>(
      router,
      EncoderOptions{options.log_variances ? 2 * options.latent_dim : options.latent_dim,
                     options.encoder_init_stddev, options.decay_all},
      parameters);
  scorer.prototypes = MakePrototypes(router, options, parameters);
  scorer.log_variances = options.log_variances;
  scorer.temperature = options.temperature;
  scorer.learn_temperature = options.learn_temperature;
  if (options.decode) {
    parts.expert_input = MakeDecodedPrototypes(router, {.decay_all = options.decay_all},
                                               scorer.prototypes, parameters);
  }
  AddLosses(router, options, scorer.prototypes, std::move(noise), parts.losses);
  parts.similarity = options.similarity;
  if (options.similarity == "COSINE") parts.angles = {options.latent_dim, MakeLatentAngles()};
  parts.latent = MakeLprScorer(router, std::move(scorer), parameters);
  return std::make_unique<ScoreRouter>(router, std::move(parts));
}

}  // namespace equipoise::routing
