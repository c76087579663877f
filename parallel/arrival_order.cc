#include "parallel/arrival_order.h"

#include <cstdint>
#include <span>

#include "core/base/check.h"

namespace equipoise::parallel {

void ComputeArrivalOrder(const Context& context, ConstTensorView counts, TensorView offsets,
                         TensorView arrival_of, TensorView sorted_of) {
  EQ_CHECK(context.device->kind() == DeviceKind::kCpu);
  const int64_t sources = counts.dim(0);
  const int64_t experts = counts.dim(1);
  EQ_CHECK_EQ(offsets.num_elements(), experts + 1);
  const std::span<const int64_t> count = counts.cpu<int64_t>();
  const std::span<int64_t> offset = offsets.cpu<int64_t>();
  const std::span<int64_t> arrival = arrival_of.cpu<int64_t>();
  const std::span<int64_t> sorted = sorted_of.cpu<int64_t>();

  const WorkspaceFrame frame(*context.scratch);
  const std::span<int64_t> next_sorted =
      context.scratch->Allocate(DType::kI64, {experts}).cpu<int64_t>();
  offset[0] = 0;
  for (int64_t e = 0; e < experts; ++e) {
    int64_t rows = 0;
    for (int64_t r = 0; r < sources; ++r) rows += count[static_cast<size_t>(r * experts + e)];
    next_sorted[static_cast<size_t>(e)] = offset[static_cast<size_t>(e)];
    offset[static_cast<size_t>(e + 1)] = offset[static_cast<size_t>(e)] + rows;
  }
  EQ_CHECK_EQ(offset[static_cast<size_t>(experts)], arrival_of.num_elements());
  int64_t position = 0;
  for (int64_t r = 0; r < sources; ++r) {
    for (int64_t e = 0; e < experts; ++e) {
      for (int64_t i = 0; i < count[static_cast<size_t>(r * experts + e)]; ++i, ++position) {
        const int64_t row = next_sorted[static_cast<size_t>(e)]++;
        arrival[static_cast<size_t>(row)] = position;
        sorted[static_cast<size_t>(position)] = row;
      }
    }
  }
}

}  // namespace equipoise::parallel
