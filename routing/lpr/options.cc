#include "routing/lpr/options.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "routing/score_settings.h"

namespace equipoise::routing {
namespace {

// A number that says "the mode's own".
constexpr double kOfMode = -1.0;

void Override(double value, double& target) {
  if (value != kOfMode) target = value;
}

// Settings that are MODE_DEFAULT, OFF or ON.
absl::Status OverrideSwitch(const RouterOptions& router, const char* setting, bool& target) {
  EQ_ASSIGN_OR_RETURN(const int value, ReadEnum(router, setting, {"MODE_DEFAULT", "OFF", "ON"}));
  if (value != 0) target = value == 2;
  return absl::OkStatus();
}

absl::Status ReadPrototypes(const RouterOptions& router, LprOptions& options) {
  EQ_ASSIGN_OR_RETURN(
      const int rule,
      ReadEnum(router, "prototypes", {"MODE_PROTOTYPES", "LEARNED", "LEARNED_UNIT", "FIXED"}));
  if (rule != 0) options.prototypes = static_cast<PrototypeRule>(rule - 1);
  // What the mode weighs by default cannot be asked of prototypes that do not move.
  if (options.prototypes == PrototypeRule::kFixed) {
    options.weights.prototype_diversity = 0.0;
    options.weights.prototype_repulsion = 0.0;
    options.weights.alignment = 0.0;
  }
  return absl::OkStatus();
}

void ReadWeights(const Settings& settings, LprOptions& options) {
  LprLossWeights& weights = options.weights;
  Override(settings.GetDouble("losses.kl"), weights.kl);
  Override(settings.GetDouble("losses.token_diversity"), weights.token_diversity);
  Override(settings.GetDouble("losses.mean_direction"), weights.mean_direction);
  Override(settings.GetDouble("losses.prototype_diversity"), weights.prototype_diversity);
  Override(settings.GetDouble("losses.prototype_repulsion"), weights.prototype_repulsion);
  Override(settings.GetDouble("losses.alignment"), weights.alignment);
  Override(settings.GetDouble("losses.soft_load"), weights.soft_load);
  options.soft_load_temperature = settings.GetDouble("losses.soft_load_temperature");
  options.repulsion_beta = settings.GetDouble("losses.repulsion_beta");
}

}  // namespace

LprOptions ReferenceLprOptions() {
  LprOptions options;
  options.log_variances = true;
  options.decay_all = true;
  options.decode = true;
  options.weights.kl = 0.0025;
  options.weights.token_diversity = 0.25;
  options.weights.prototype_diversity = 0.25;
  options.weights.alignment = 0.0125;
  return options;
}

LprOptions LeanLprOptions() {
  LprOptions options = ReferenceLprOptions();
  options.log_variances = false;
  options.decay_all = false;
  options.decode = false;
  return options;
}

LprOptions GeometricLprOptions(int64_t hidden) {
  LprOptions options;
  options.encoder_init_stddev = 1.0 / std::sqrt(static_cast<double>(hidden));
  options.prototypes = PrototypeRule::kFixed;
  options.temperature = 5.0;
  options.learn_temperature = true;
  options.weights.token_diversity = 0.25;
  options.weights.mean_direction = 0.25;
  return options;
}

absl::StatusOr<LprOptions> ReadLprOptions(const RouterOptions& router) {
  const Settings& settings = router.settings;
  EQ_ASSIGN_OR_RETURN(const int mode, ReadEnum(router, "mode", {"GEOMETRIC", "LEAN", "REFERENCE"}));
  LprOptions options = mode == 0   ? GeometricLprOptions(router.hidden)
                       : mode == 1 ? LeanLprOptions()
                                   : ReferenceLprOptions();
  options.latent_dim = settings.GetInt("latent_dim");
  options.similarity = settings.GetString("similarity");
  EQ_RETURN_IF_ERROR(OverrideSwitch(router, "decode", options.decode));
  EQ_RETURN_IF_ERROR(ReadPrototypes(router, options));
  Override(settings.GetDouble("temperature"), options.temperature);
  EQ_RETURN_IF_ERROR(OverrideSwitch(router, "learn_temperature", options.learn_temperature));
  ReadWeights(settings, options);
  return options;
}

}  // namespace equipoise::routing
