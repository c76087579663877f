#ifndef EQUIPOISE_COMM_REDUCE_H_
#define EQUIPOISE_COMM_REDUCE_H_

#include <cstddef>

#include "comm/communicator.h"
#include "core/tensor/dtype.h"

namespace equipoise::comm {

// sum[i] = op(sum[i], term[i]) over `bytes` of host memory. Sums of integers wrap like the type;
// kMax and kMin of a NaN are unspecified. REQUIRES: bytes is a multiple of the element size.
void Combine(ReduceOp op, DType dtype, void* sum, const void* term, size_t bytes);

// out = op over `num_blocks` blocks of `bytes`, which follow one another at `blocks`, in their
// order. `out` may be the first block, but may not overlap otherwise. REQUIRES: num_blocks >= 1.
void CombineBlocks(ReduceOp op, DType dtype, const void* blocks, size_t num_blocks, size_t bytes,
                   void* out);

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_REDUCE_H_
