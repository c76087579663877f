#ifndef EQUIPOISE_ROUTING_LPR_OPTIONS_H_
#define EQUIPOISE_ROUTING_LPR_OPTIONS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/nn/parameter.h"
#include "routing/lpr/latent_noise.h"
#include "routing/router.h"

namespace equipoise::routing {

// Weights of the losses of a layer in the training loss; 0: off.
struct LprLossWeights {
  double kl = 0.0;
  double token_diversity = 0.0;
  double mean_direction = 0.0;
  double prototype_diversity = 0.0;
  double prototype_repulsion = 0.0;
  double alignment = 0.0;
  double soft_load = 0.0;
};

enum class PrototypeRule : uint8_t {
  kLearned,      // free parameters
  kLearnedUnit,  // parameters of length one
  kFixed,        // a spherical code
};

// Everything that makes one Latent Prototype router differ from another; `mode` of the settings is
// a set of these (docs/routing.md has the table).
struct LprOptions {
  int64_t latent_dim = 16;  // D
  // Encoder and read-out as published: logarithms of variances, weight decay of everything.
  bool log_variances = false;
  bool decay_all = false;
  double encoder_init_stddev = 0.02;
  std::string similarity = "COSINE";
  bool decode = false;
  PrototypeRule prototypes = PrototypeRule::kLearned;
  double temperature = 1.0;  // tau: gates are softmax(tau * similarity); large is sharp
  bool learn_temperature = false;
  LprLossWeights weights;
  double soft_load_temperature = 0.1;
  double repulsion_beta = 8.0;
};

// The published weights of one layer, times 25: the reference code adds its regulariser for each of
// 18 to 27 micro-batches undivided, where this project's losses are means over the step.
LprOptions ReferenceLprOptions();
// The same without logarithms of variances, and without the decoded-prototype path.
LprOptions LeanLprOptions();
// A fixed spherical code, isotropic and centred tokens, a learned temperature. `hidden` is H.
LprOptions GeometricLprOptions(int64_t hidden);

// Reads the settings of router "lpr": InvalidArgument where they cannot be or do not go together.
absl::StatusOr<LprOptions> ReadLprOptions(const RouterOptions& router);

// Checks and builds. `noise` draws the sampled latents.
absl::StatusOr<std::unique_ptr<Router>> MakeLpr(const RouterOptions& router,
                                                const LprOptions& options,
                                                std::unique_ptr<LatentNoise> noise,
                                                ParameterRegistry& parameters);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LPR_OPTIONS_H_
