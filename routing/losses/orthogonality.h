#ifndef EQUIPOISE_ROUTING_LOSSES_ORTHOGONALITY_H_
#define EQUIPOISE_ROUTING_LOSSES_ORTHOGONALITY_H_

#include <memory>

#include "core/nn/parameter.h"
#include "routing/losses/router_loss.h"

namespace equipoise::routing {

// Of the rows w_e of a router's matrix W [E, H].
enum class OrthogonalityForm : uint8_t {
  // ERNIE 4.5: mean over the E^2 entries of (Wh Wh^T - I)^2, rows of Wh of unit length.
  kCosine,
  // SimBal (arXiv 2506.14038): sum over the E^2 entries of |W W^T - I|; also holds lengths at 1.
  kGram,
};

struct OrthogonalityLossOptions {
  double coefficient = 0.0;
  OrthogonalityForm form = OrthogonalityForm::kCosine;
};

// "orthogonality": coefficient * the form's value; depends on no token. Sums: [0] of the value for
// each token, so that it adds up over ranks and micro-batches; each backward pass gives its
// tokens' share of the gradient. `weight` outlives it.
//   kCosine: dwh_e = 4 / E^2 sum_f (Wh Wh^T - I)_ef wh_f, then through the normalisation
//   kGram:   dw_e = 2 sum_f sign(W W^T - I)_ef w_f
// O(E^2 H) a pass.
std::unique_ptr<RouterLoss> MakeOrthogonalityLoss(const OrthogonalityLossOptions& options,
                                                  const Parameter* weight);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LOSSES_ORTHOGONALITY_H_
