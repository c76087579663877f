#ifndef EQUIPOISE_ROUTING_COPY_TRIMMER_H_
#define EQUIPOISE_ROUTING_COPY_TRIMMER_H_

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"
#include "routing/score_tile.h"

namespace equipoise::routing {

// Takes back some of the K experts that each token was given, by the token's scores alone: for
// routers whose tokens need different numbers of experts. Immutable.
class CopyTrimmer {
 public:
  virtual ~CopyTrimmer() = default;

  // ids I32 [n, K] of a tile with scores: what is taken back becomes -1.
  virtual void Trim(const Context& context, const ScoreTile& tile, TensorView ids) const = 0;
};

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_COPY_TRIMMER_H_
