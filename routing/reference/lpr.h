#ifndef EQUIPOISE_ROUTING_REFERENCE_LPR_H_
#define EQUIPOISE_ROUTING_REFERENCE_LPR_H_

#include <cstdint>
#include <vector>

#include "core/device/context.h"
#include "routing/lpr/options.h"
#include "routing/reference/matrix.h"

namespace equipoise::routing::reference {

// Parameters of an LPR router, or their gradients. Decoder empty: no decoded-prototype path.
template <typename T>
struct LprParameters {
  Matrix<T> gain, shift;            // [1, H]
  Matrix<T> weight, bias;           // [M, H], [1, M]
  Matrix<T> prototypes;             // [E, D]
  Matrix<T> decoder, decoder_bias;  // [H, D], [1, H]
  double log_temperature = 0.0;
};

template <typename T>
struct LprStep {
  // What goes in: a whole step in one piece.
  Matrix<T> x;              // [T, H]
  Matrix<T> noise;          // [T, D], of the sampled latents
  Matrix<T> dgates;         // [T, K]
  Matrix<T> dexpert_input;  // [T, H]
  // What comes out.
  std::vector<int32_t> ids;  // [T, K]
  Matrix<T> gates;           // [T, K]
  Matrix<T> expert_input;    // [T, H]
  LprLossWeights losses;     // values, weighted
  Matrix<T> dx;              // [T, H]
  LprParameters<T> gradients;
};

// Forward and backward pass of Latent Prototype Routing with cosine similarity as its definitions
// read, one whole array after another: with token-expert products of T x E x D, a Gram matrix of
// T x T, and the dense responsibilities R of T x E. The oracle of router "lpr" in double, and what
// the fused router is measured against in float. No bias, groups or capacity; prototype_repulsion
// is not among its losses. Takes from `options` the weights, the temperature and whether it is
// learned, and log_variances.
template <typename T>
void RunLpr(const Context& context, const LprOptions& options, int top_k,
            const LprParameters<T>& parameters, LprStep<T>& step);

}  // namespace equipoise::routing::reference

#endif  // EQUIPOISE_ROUTING_REFERENCE_LPR_H_
