#ifndef EQUIPOISE_ROUTING_ANGLES_H_
#define EQUIPOISE_ROUTING_ANGLES_H_

#include <cstdint>
#include <memory>

#include "core/device/context.h"
#include "core/nn/parameter.h"
#include "core/tensor/tensor_view.h"
#include "routing/score_tile.h"

namespace equipoise::routing {

// The cosines of tokens with what stands for their experts: a gate's row, a block of features, a
// prototype. Defined where the logits are made of scalar products. Immutable; one router's.
class AngleSource {
 public:
  virtual ~AngleSource() = default;

  // What is made once for all tiles of a pass, in context.scratch.
  virtual TensorView Prepare(const Context& context) const {
    (void)context;
    return {};
  }
  // cosines [n, K] of a tile with logits and tile.selected; 0 where no expert is (-1), and where a
  // length is 0. x [n, H]: what the logits were made of.
  virtual void Cosines(const Context& context, ConstTensorView x, const ScoreTile& tile,
                       ConstTensorView prepared, TensorView cosines) const = 0;
};

// With the rows of `weight` [E, H], of which the logits are x W^T: H multiplications a token for
// its length, as many an expert and pass.
std::unique_ptr<AngleSource> MakeLinearAngles(const Parameter* weight);
// With the indicators of blocks of H / E features: the blocks are summed again, since the logits
// cannot tell how far below 0 a mean was.
std::unique_ptr<AngleSource> MakeBlockAngles(int64_t hidden, int num_experts);
// The similarities of a latent space, where these are cosines.
std::unique_ptr<AngleSource> MakeLatentAngles();

// What a router has of angles.
struct RouteAngleOptions {
  // Of the space in which they are; 0: they are not defined.
  int64_t dimensions = 0;
  // Null: who chooses for whole sequences tells them (SequenceReport).
  std::unique_ptr<AngleSource> source = {};
};

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_ANGLES_H_
