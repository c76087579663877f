#ifndef EQUIPOISE_ROUTING_CPU_TOP_K_ROWS_H_
#define EQUIPOISE_ROUTING_CPU_TOP_K_ROWS_H_

#include <cstdint>

namespace equipoise::cpu {

// The `top_k` largest of each row of scores [rows, n], descending, ties to the lowest index: their
// indices in ids [rows, top_k]. NaNs are chosen only for want of others; ids of a row are always
// different. T is float or double. REQUIRES: 1 <= top_k <= n.
template <typename T>
void TopKRows(const T* scores, int64_t rows, int64_t n, int64_t top_k, int32_t* ids);

// Of one row.
template <typename T>
void TopKRow(const T* scores, int64_t n, int64_t top_k, int32_t* ids) {
  TopKRows(scores, 1, n, top_k, ids);
}

}  // namespace equipoise::cpu

#endif  // EQUIPOISE_ROUTING_CPU_TOP_K_ROWS_H_
