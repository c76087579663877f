#ifndef EQUIPOISE_ROUTING_LATENT_SCORER_H_
#define EQUIPOISE_ROUTING_LATENT_SCORER_H_

#include <cstdint>

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"
#include "routing/score_tile.h"

namespace equipoise::routing {

// Sizes of a latent space.
struct LatentShape {
  int64_t dimensions = 0;  // D
  int64_t moments = 0;     // M: D, or 2 D with logarithms of variances
  // Similarities need memory of their own: the temperature is not the constant 1.
  bool scaled = false;
};

// Scores tokens by where they lie among prototypes in a latent space, each token by itself. Called
// for one tile of tokens after another. What it computed of x, tile.latent.moments, is saved for
// the backward pass, which makes the rest again. Belongs to one router.
class LatentScorer {
 public:
  virtual ~LatentScorer() = default;
  virtual LatentShape shape() const = 0;

  // Sets what a pass makes once for all its tiles, in context.scratch: tile.prepared and the points
  // of tile.latent. The other calls take tiles that have it.
  virtual void Prepare(const Context& context, ScoreTile& tile) const = 0;
  // Fills tile.latent and tile.logits from x [n, H].
  virtual void Forward(const Context& context, ConstTensorView x, const ScoreTile& tile) const = 0;
  // The same from tile.latent.moments, which Forward filled.
  virtual void Restore(const Context& context, const ScoreTile& tile) const = 0;
  // Adds to dx [n, H] and to the gradients of its parameters what gradient.logits and
  // gradient.latent hold; gradient.latent is spent.
  virtual void Backward(const Context& context, ConstTensorView x, const ScoreTile& tile,
                        const ScoreTileGradient& gradient, TensorView dx) const = 0;
  // Once a step, after the parameters' update.
  virtual void EndStep(const Context& context) const { (void)context; }
};

// A term that a router adds to the input of its experts: a read-out of a token's tile into a code
// of few numbers, and a linear map of the code to the hidden width.
class ExpertInputTerm {
 public:
  virtual ~ExpertInputTerm() = default;
  virtual int64_t code_size() const = 0;

  // codes [n, code_size()] of the tile's tokens.
  virtual void Encode(const Context& context, const ScoreTile& tile, TensorView codes) const = 0;
  // Adds the terms of `codes` [n, code_size()] to `inputs` [n, H].
  virtual void AddTo(const Context& context, ConstTensorView codes, TensorView inputs) const = 0;
  // Memory in context.scratch in which the tiles of a backward pass add up, zero.
  virtual TensorView StartBackward(const Context& context) const = 0;
  // dinputs [n, H]: gradient of each token's input. Adds to `gradient`, to parameters' and to
  // `sums`, what StartBackward gave.
  virtual void Backward(const Context& context, const ScoreTile& tile, ConstTensorView dinputs,
                        const ScoreTileGradient& gradient, TensorView sums) const = 0;
  // Adds `sums` to the gradients of parameters, after the last tile.
  virtual void FinishBackward(const Context& context, ConstTensorView sums) const = 0;
};

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LATENT_SCORER_H_
