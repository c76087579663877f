#ifndef EQUIPOISE_ROUTING_CPU_COPY_SORT_H_
#define EQUIPOISE_ROUTING_CPU_COPY_SORT_H_

#include <cstdint>
#include <span>

#include "routing/placement.h"

namespace equipoise::cpu {

// Counting sort of token copies by the slot of their expert, stable in (token, k). O(T K + E).
//   ids [T * top_k]: experts in [-1, E); any other value is fatal
//   slots [T * top_k]: position of each copy, -1 where the id is
//   source_rows [T * top_k]: the first C are written
//   rows_per_slot [E]
//   next [E]: scratch
// Returns C, the number of copies.
int64_t SortCopies(std::span<const int32_t> ids, int64_t top_k,
                   const routing::ExpertPlacement& placement, std::span<int64_t> slots,
                   std::span<int64_t> source_rows, std::span<int64_t> rows_per_slot,
                   std::span<int64_t> next);

}  // namespace equipoise::cpu

#endif  // EQUIPOISE_ROUTING_CPU_COPY_SORT_H_
