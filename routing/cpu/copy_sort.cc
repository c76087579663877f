#include "routing/cpu/copy_sort.h"

#include <algorithm>

#include "core/base/check.h"

namespace equipoise::cpu {

int64_t SortCopies(std::span<const int32_t> ids, int64_t top_k,
                   const routing::ExpertPlacement& placement, std::span<int64_t> slots,
                   std::span<int64_t> source_rows, std::span<int64_t> rows_per_slot,
                   std::span<int64_t> next) {
  const int num_experts = placement.num_experts();
  std::fill(rows_per_slot.begin(), rows_per_slot.end(), int64_t{0});
  for (const int32_t id : ids) {
    EQ_CHECK(id >= -1 && id < num_experts) << "expert " << id << " of " << num_experts;
    if (id >= 0) ++rows_per_slot[static_cast<size_t>(placement.slot_of(id))];
  }
  int64_t num_copies = 0;
  for (size_t slot = 0; slot < rows_per_slot.size(); ++slot) {
    next[slot] = num_copies;
    num_copies += rows_per_slot[slot];
  }
  for (size_t copy = 0; copy < ids.size(); ++copy) {
    if (ids[copy] < 0) {
      slots[copy] = -1;
      continue;
    }
    const int64_t position = next[static_cast<size_t>(placement.slot_of(ids[copy]))]++;
    slots[copy] = position;
    source_rows[static_cast<size_t>(position)] = static_cast<int64_t>(copy) / top_k;
  }
  return num_copies;
}

}  // namespace equipoise::cpu
