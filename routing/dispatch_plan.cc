#include "routing/dispatch_plan.h"

#include "core/base/check.h"
#include "routing/cpu/copy_sort.h"

namespace equipoise::routing {

DispatchPlan MakeDispatchPlan(const Context& context, ConstTensorView expert_ids,
                              const ExpertPlacement& placement) {
  EQ_CHECK_EQ(expert_ids.shape().rank(), 2);
  const int64_t num_tokens = expert_ids.dim(0);
  const int64_t top_k = expert_ids.dim(1);
  const int64_t num_experts = placement.num_experts();

  DispatchPlan plan;
  plan.num_tokens = num_tokens;
  plan.slots = context.activations->Allocate(DType::kI64, {num_tokens, top_k});
  const TensorView source_rows = context.activations->Allocate(DType::kI64, {num_tokens * top_k});
  plan.rows_per_slot = context.activations->Allocate(DType::kI64, {num_experts});

  WorkspaceFrame frame(*context.scratch);
  const TensorView next = context.scratch->Allocate(DType::kI64, {num_experts});
  plan.num_copies = cpu::SortCopies(expert_ids.cpu<int32_t>(), top_k, placement,
                                    plan.slots.cpu<int64_t>(), source_rows.cpu<int64_t>(),
                                    plan.rows_per_slot.cpu<int64_t>(), next.cpu<int64_t>());
  plan.source_rows = source_rows.Rows(0, plan.num_copies);
  return plan;
}

}  // namespace equipoise::routing
