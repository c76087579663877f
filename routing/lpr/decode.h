#ifndef EQUIPOISE_ROUTING_LPR_DECODE_H_
#define EQUIPOISE_ROUTING_LPR_DECODE_H_

#include <memory>

#include "core/nn/parameter.h"
#include "routing/latent_scorer.h"
#include "routing/lpr/prototypes.h"
#include "routing/router.h"

namespace equipoise::routing {

struct DecodeOptions {
  double init_stddev = 0.02;
  bool decay_all = false;  // weight decay of the bias too, as the published code does
};

// The decoded-prototype path that the published code adds to the experts' input:
// v_t = sum over all e of softmax(logits_t)_e p_e, and v W_o^T + b_o joins x. Declares
// gate.decoder.weight [H, D] and gate.decoder.bias [H].
std::unique_ptr<ExpertInputTerm> MakeDecodedPrototypes(const RouterOptions& router,
                                                       const DecodeOptions& options,
                                                       std::shared_ptr<Prototypes> prototypes,
                                                       ParameterRegistry& parameters);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LPR_DECODE_H_
