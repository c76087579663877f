// Router "lpr": Latent Prototype Routing (Yang, "Latent prototype routing: achieving near-perfect
// load balancing in mixture-of-experts", 2025). Tokens are placed in a latent space of D dimensions
// (LayerNorm, SiLU, one linear map) and take the K experts whose prototypes are nearest; gates are
// the softmax over those K of tau * similarity. docs/routing.md has the modes and their losses;
// routing/lpr/options.h what each is made of. Parameters: gate.norm.*, gate.encoder.*, and by mode
// gate.prototypes, gate.decoder.*, gate.log_temperature.
//
// Settings (-1 and MODE_DEFAULT: the mode's own):
//   mode (string)               "GEOMETRIC", "LEAN", "REFERENCE"
//   latent_dim (int)            D
//   similarity (string)         "COSINE" and those of routing/lpr/similarity.h
//   decode (string)             add the decoded prototypes to the experts' input: OFF, ON
//   prototypes (string)         "LEARNED", "LEARNED_UNIT", "FIXED"
//   temperature (double), learn_temperature (string: OFF, ON)
//   losses.* (double)           weights, and soft_load_temperature and repulsion_beta
//   bias, groups, jitter        the shared pieces of score_settings.h; a bias is added to
//                               similarities

#include <memory>

#include "core/base/status_macros.h"
#include "routing/lpr/latent_noise.h"
#include "routing/lpr/options.h"
#include "routing/router.h"

namespace equipoise::routing {

absl::StatusOr<std::unique_ptr<Router>> MakeLprRouter(const RouterOptions& options,
                                                      ParameterRegistry& parameters) {
  EQ_ASSIGN_OR_RETURN(const LprOptions lpr, ReadLprOptions(options));
  return MakeLpr(options, lpr, MakeLatentNoise(options), parameters);
}

}  // namespace equipoise::routing
