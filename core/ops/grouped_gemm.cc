#include "core/ops/grouped_gemm.h"

#include "core/base/check.h"
#include "core/ops/gemm.h"

namespace equipoise {
namespace {

// Calls body(e, begin, end) for every expert that has rows. Experts are multiplied one after the
// other: oneDNN reaches its full rate from about 16 rows on.
template <typename Body>
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

void CheckShapes(ConstTensorView x, ConstTensorView weights, ConstTensorView y) {
  EQ_CHECK(x.shape().rank() == 2 && weights.shape().rank() == 3 && y.shape().rank() == 2 &&
           x.dim(0) == y.dim(0) && x.dim(1) == weights.dim(2) && y.dim(1) == weights.dim(1))
      << "x " << x.shape() << ", weights " << weights.shape() << ", y " << y.shape();
}

// weights[e] as [out, in].
template <typename View>
View ExpertWeight(const View& weights, int64_t e) {
  return weights.Rows(e, e + 1).Reshaped({weights.dim(1), weights.dim(2)});
}

}  // namespace

void GroupedLinearForward(const Context& context, ConstTensorView x, ConstTensorView offsets,
                          ConstTensorView weights, TensorView y) {
  CheckShapes(x, weights, y);
  ForEachRun(offsets, weights.dim(0), x.dim(0), [&](int64_t e, int64_t begin, int64_t end) {
    Gemm(context, Transpose::kNo, Transpose::kYes, 1.0, x.Rows(begin, end),
         ExpertWeight(weights, e), 0.0, y.Rows(begin, end));
  });
}

void GroupedLinearBackwardData(const Context& context, ConstTensorView dy, ConstTensorView offsets,
                               ConstTensorView weights, TensorView dx) {
  if (dx.absent()) return;
  CheckShapes(dx, weights, dy);
  ForEachRun(offsets, weights.dim(0), dy.dim(0), [&](int64_t e, int64_t begin, int64_t end) {
    Gemm(context, Transpose::kNo, Transpose::kNo, 1.0, dy.Rows(begin, end),
         ExpertWeight(weights, e), 0.0, dx.Rows(begin, end));
  });
}

void GroupedLinearBackwardWeights(const Context& context, ConstTensorView x, ConstTensorView dy,
                                  ConstTensorView offsets, TensorView dweights) {
  CheckShapes(x, dweights, dy);
  ForEachRun(offsets, dweights.dim(0), x.dim(0), [&](int64_t e, int64_t begin, int64_t end) {
    Gemm(context, Transpose::kYes, Transpose::kNo, 1.0, dy.Rows(begin, end), x.Rows(begin, end),
         1.0, ExpertWeight(dweights, e));
  });
}

}  // namespace equipoise
