#ifndef EQUIPOISE_ROUTING_LPR_DIRECTIONS_H_
#define EQUIPOISE_ROUTING_LPR_DIRECTIONS_H_

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"

namespace equipoise::routing {

// directions [n, D] = the first D columns of vectors [n, M] over their lengths, inverse_norms [n] =
// one over those lengths. A length below 1e-8 counts as 1e-8.
void ComputeDirections(const Context& context, ConstTensorView vectors, TensorView directions,
                       TensorView inverse_norms);

// dvectors += (d - <d, u> u) / length in the first D columns, u = directions, d = ddirections.
// Nothing for a vector without a length: its direction is not defined, and the clamp's slope of 1e8
// would undo the training of everything else.
void AddDirectionsGradient(const Context& context, ConstTensorView directions,
                           ConstTensorView inverse_norms, ConstTensorView ddirections,
                           TensorView dvectors);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LPR_DIRECTIONS_H_
