#ifndef EQUIPOISE_ROUTING_LPR_SIMILARITY_MOMENTS_H_
#define EQUIPOISE_ROUTING_LPR_SIMILARITY_MOMENTS_H_

#include <cstdint>

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"
#include "routing/score_tile.h"

namespace equipoise::routing {

// Columns [begin, begin + width) of `from` [n, W] as a matrix of their own, in scratch memory.
TensorView CopyColumns(const Context& context, ConstTensorView from, int64_t begin, int64_t width);
// Adds `columns` [n, width] to columns [begin, begin + width) of `to` [n, W].
void AddColumns(ConstTensorView columns, int64_t begin, TensorView to);

// Means [n, D] and logarithms of variances [n, D] of a tile. REQUIRES for the latter: M = 2 D.
inline TensorView CopyMeans(const Context& context, const LatentTile& latent) {
  return CopyColumns(context, latent.moments, 0, latent.dimensions());
}
inline TensorView CopyLogVariances(const Context& context, const LatentTile& latent) {
  return CopyColumns(context, latent.moments, latent.dimensions(), latent.dimensions());
}

// out [n, E] = |a_t - b_e|^2, a [n, W], b [E, W], by one matrix product.
void SquaredDistances(const Context& context, ConstTensorView a, ConstTensorView b, TensorView out);
// da [n, W] = 2 sum_e d_te (a_t - b_e), db [E, W] = 2 sum_t d_te (b_e - a_t); d [n, E].
void SquaredDistancesBackward(const Context& context, ConstTensorView a, ConstTensorView b,
                              ConstTensorView d, TensorView da, TensorView db);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LPR_SIMILARITY_MOMENTS_H_
