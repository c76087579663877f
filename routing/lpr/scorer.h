#ifndef EQUIPOISE_ROUTING_LPR_SCORER_H_
#define EQUIPOISE_ROUTING_LPR_SCORER_H_

#include <memory>

#include "core/nn/parameter.h"
#include "routing/latent_scorer.h"
#include "routing/lpr/encoder.h"
#include "routing/lpr/prototypes.h"
#include "routing/lpr/similarity.h"
#include "routing/router.h"

namespace equipoise::routing {

struct LprScorerParts {
  std::unique_ptr<LatentEncoder> encoder;
  std::shared_ptr<Prototypes> prototypes;
  std::unique_ptr<Similarity> similarity;
  bool log_variances = false;  // M = 2 D
  double temperature = 1.0;    // tau, or its first value if learned
  // Learned: tau = temperature * exp(gate.log_temperature[0]), which starts at zero. So tau stays
  // positive, and a step changes it by the same factor wherever it is.
  bool learn_temperature = false;
};

// Latent Prototype Routing's logits: tau * similarity(encoder(x), prototypes). (Here a large tau is
// sharp, as the pilots of GEOMETRIC count it.)
std::unique_ptr<LatentScorer> MakeLprScorer(const RouterOptions& router, LprScorerParts parts,
                                            ParameterRegistry& parameters);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LPR_SCORER_H_
