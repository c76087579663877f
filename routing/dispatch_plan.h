#ifndef EQUIPOISE_ROUTING_DISPATCH_PLAN_H_
#define EQUIPOISE_ROUTING_DISPATCH_PLAN_H_

#include <cstdint>

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"
#include "routing/placement.h"

namespace equipoise::routing {

// Where every token copy of a rank goes: made once from the router's ids, then taken by dispatch,
// combine and both backward passes. A bundle of views into the workspace it was made in.
//
// Copies are sorted by the slot of their expert (so by owner, then by expert), and within an
// expert by (token, k): a stable counting sort, the same on every run.
struct DispatchPlan {
  int64_t num_tokens = 0;  // T
  int64_t num_copies = 0;  // C: ids that are not -1
  // I64 [T, K]: position of copy (t, k) among the sorted copies, -1 where there is none.
  TensorView slots;
  // I64 [C]: the token of each sorted copy. (Allocated [T*K]; the view has the first C rows.)
  TensorView source_rows;
  // I64 [E], indexed by slot of the expert: copies it gets from this rank.
  TensorView rows_per_slot;
};

// expert_ids I32 [T, K] in [-1, E); -1 marks a copy that does not exist (dropped, padding).
// Allocates from context.activations.
DispatchPlan MakeDispatchPlan(const Context& context, ConstTensorView expert_ids,
                              const ExpertPlacement& placement);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_DISPATCH_PLAN_H_
