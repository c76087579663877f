#ifndef EQUIPOISE_CORE_OPS_EXPERT_RUNS_H_
#define EQUIPOISE_CORE_OPS_EXPERT_RUNS_H_

#include <cstddef>
#include <cstdint>

#include "core/base/check.h"
#include "core/tensor/shape.h"
#include "core/tensor/tensor_view.h"

// How the operations over experts walk their operands: rows sorted by expert, weights stacked.

namespace equipoise {

// Calls body(e, begin, end) for every expert that has rows: [begin, end) are its run. `offsets` is
// I64 [num_experts + 1], in host memory, from 0 up to num_rows. One expert comes after the other:
// oneDNN reaches its full rate from about 16 rows on.
template <class Body>
void ForEachRun(ConstTensorView offsets, int64_t num_experts, int64_t num_rows, const Body& body) {
  const auto bounds = offsets.cpu<int64_t>();
  EQ_CHECK_EQ(offsets.shape(), Shape{num_experts + 1});
  EQ_CHECK_EQ(bounds.front(), 0);
  EQ_CHECK_EQ(bounds.back(), num_rows);
  for (int64_t e = 0; e < num_experts; ++e) {
    const int64_t begin = bounds[static_cast<size_t>(e)];
    const int64_t end = bounds[static_cast<size_t>(e) + 1];
    EQ_CHECK_LE(begin, end) << "offsets of expert " << e;
    if (begin < end) body(e, begin, end);
  }
}

// Expert e's matrix [out, in] of weights [E_r, out, in], or of their gradients.
template <class View>
View ExpertMatrix(const View& weights, int64_t e) {
  return weights.Rows(e, e + 1).Reshaped({weights.dim(1), weights.dim(2)});
}

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_OPS_EXPERT_RUNS_H_
