#ifndef EQUIPOISE_ROUTING_TRANSPOSED_H_
#define EQUIPOISE_ROUTING_TRANSPOSED_H_

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"

namespace equipoise::routing {

// The transpose [n, m] of a matrix [m, n] of floats or doubles, in context.scratch. A product of a
// few tokens with a weight that many tiles share is up to half as fast again with the weight
// transposed once for all of them: the library would turn it round for each tile.
TensorView Transposed(const Context& context, ConstTensorView matrix);

// target [m, n] += source [n, m] transposed.
void AddTransposed(const Context& context, ConstTensorView source, TensorView target);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_TRANSPOSED_H_
