#ifndef EQUIPOISE_ROUTING_SCORE_TILE_H_
#define EQUIPOISE_ROUTING_SCORE_TILE_H_

#include <cstdint>

#include "core/tensor/tensor_view.h"

namespace equipoise::routing {

// How logits become scores.
enum class ScoreFunction : uint8_t {
  kSoftmax,  // over all experts: scores are probabilities
  kSigmoid,  // of each expert by itself (DeepSeek-V3); probabilities are the scores over their sum
};

// What a router that compares tokens with prototypes in a latent space of D dimensions knows of
// them besides. Absent views for other routers.
struct LatentTile {
  // [n, M]: means [D]; then, if M = 2 D, logarithms of variances [D]. The router's saved rows.
  TensorView moments;
  TensorView directions;     // [n, D]: means over their lengths
  TensorView inverse_norms;  // [n]: one over the means' lengths
  // [n, E], of token and prototype; logits = temperature * similarities. The same memory as the
  // logits where the temperature is the constant 1.
  TensorView similarities;
  // Made once a pass: the prototypes [E, D]; where they are compared by direction, those over their
  // lengths, and one over the lengths [E].
  ConstTensorView points;
  ConstTensorView point_directions;
  ConstTensorView point_inverse_norms;

  int64_t dimensions() const { return directions.dim(1); }
};

// Everything the pieces of a score-based router know of n tokens, in scratch memory: a router
// walks over its tokens tile by tile, so that nothing of T x E elements ever exists. Made by
// ComputeScores, then SelectTopK; the same bits in the forward pass and when the backward pass
// makes it again. Absent views are marked.
struct ScoreTile {
  ScoreFunction function = ScoreFunction::kSoftmax;
  int64_t first_row = 0;     // of the tile, among the rows of the micro-batch
  TensorView logits;         // [n, E]
  TensorView probabilities;  // [n, E], rows sum to one
  // [n]: score = normalizer * probability. Ones for softmax; the sum of the sigmoids otherwise.
  TensorView normalizers;
  // [n, E] softmax of the logits, and [n] the logarithm of its denominator. The same memory as the
  // probabilities for kSoftmax; for kSigmoid absent unless asked for.
  TensorView softmax;
  TensorView log_sum_exp;
  // I32 [n, K]: the experts chosen, before capacity. -1: none, in routers that give tokens any
  // number of experts.
  ConstTensorView selected;
  LatentTile latent;
  // What the source of the logits made of its weights, once a pass.
  ConstTensorView prepared;

  int64_t num_rows() const { return logits.dim(0); }
  int64_t num_experts() const { return logits.dim(1); }
};

// Gradients by what a latent tile holds; everyone adds, LatentScorer::Backward folds them.
struct LatentTileGradient {
  TensorView moments;       // [n, M]
  TensorView directions;    // [n, D]
  TensorView similarities;  // [n, E], besides what comes through the logits; never their memory
};

// Gradients of a loss by what a tile holds; everyone adds. ScoresBackward folds the first two into
// the third.
struct ScoreTileGradient {
  TensorView probabilities;    // [n, E]
  TensorView selected_scores;  // [n, K], by the score of the k-th expert chosen
  TensorView logits;           // [n, E]
  LatentTileGradient latent;
};

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_SCORE_TILE_H_
