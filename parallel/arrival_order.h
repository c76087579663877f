#ifndef EQUIPOISE_PARALLEL_ARRIVAL_ORDER_H_
#define EQUIPOISE_PARALLEL_ARRIVAL_ORDER_H_

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"

namespace equipoise::parallel {

// The two orders of the rows that arrive at the owner of E_r experts: by (source rank, local
// expert), as they come off the wire, and by (local expert, source rank), as the experts compute
// them. Both keep the source's order within a pair. Like a transpose of a ragged matrix.
//
// counts I64 [R, E_r]: rows from each source for each local expert.
// offsets I64 [E_r + 1]: first expert-sorted row of each expert.
// arrival_of I64 [rows]: arrival position of each expert-sorted row.
// sorted_of I64 [rows]: its inverse.
void ComputeArrivalOrder(const Context& context, ConstTensorView counts, TensorView offsets,
                         TensorView arrival_of, TensorView sorted_of);

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_ARRIVAL_ORDER_H_
