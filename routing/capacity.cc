#include "routing/capacity.h"

#include <algorithm>
#include <cmath>

#include "core/base/check.h"
#include "routing/cpu/drop_copies.h"

namespace equipoise::routing {

int64_t ExpertCapacity(const CapacityOptions& options, int64_t sequence_length, int num_experts,
                       int top_k) {
  EQ_CHECK_GT(options.factor, 0.0);
  const double even = static_cast<double>(sequence_length) * top_k / num_experts;
  // The bound also keeps huge factors in the range of integers.
  const double copies =
      std::min(std::ceil(options.factor * even), static_cast<double>(sequence_length));
  return std::max<int64_t>(1, static_cast<int64_t>(copies));
}

int64_t ApplyCapacity(const Context& context, const CapacityOptions& options,
                      int64_t sequence_length, int num_experts, TensorView expert_ids,
                      TensorView gates) {
  if (options.factor == 0.0) return 0;
  const int top_k = static_cast<int>(expert_ids.dim(1));
  WorkspaceFrame frame(*context.scratch);
  const int64_t sequences = expert_ids.dim(0) / sequence_length;
  const auto capacities = context.scratch->Allocate(DType::kI64, {sequences}).cpu<int64_t>();
  std::fill(capacities.begin(), capacities.end(),
            ExpertCapacity(options, sequence_length, num_experts, top_k));
  return ApplyCapacities(context, capacities, sequence_length, num_experts, expert_ids, gates);
}

int64_t ApplyCapacities(const Context& context, std::span<const int64_t> capacities,
                        int64_t sequence_length, int num_experts, TensorView expert_ids,
                        TensorView gates) {
  const int64_t num_tokens = expert_ids.dim(0);
  EQ_CHECK_EQ(gates.shape(), expert_ids.shape());
  EQ_CHECK(sequence_length > 0 && num_tokens % sequence_length == 0)
      << num_tokens << " tokens in sequences of " << sequence_length;
  EQ_CHECK_EQ(static_cast<int64_t>(capacities.size()), num_tokens / sequence_length);

  WorkspaceFrame frame(*context.scratch);
  const auto members =
      context.scratch->Allocate(DType::kI64, {sequence_length * expert_ids.dim(1)}).cpu<int64_t>();
  const auto next = context.scratch->Allocate(DType::kI64, {num_experts + 1}).cpu<int64_t>();
  int64_t num_dropped = 0;
  DispatchFloat(gates.dtype(), [&]<typename T>() {
    int64_t row = 0;
    for (const int64_t capacity : capacities) {
      const int64_t end = row + sequence_length;
      num_dropped += cpu::DropCopies<T>(capacity, expert_ids.Rows(row, end).cpu<int32_t>(),
                                        gates.Rows(row, end).cpu<T>(), members, next);
      row = end;
    }
  });
  return num_dropped;
}

}  // namespace equipoise::routing
