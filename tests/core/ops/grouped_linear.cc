#include "tests/core/ops/grouped_linear.h"

#include "core/base/check.h"
#include "core/ops/expert_runs.h"
#include "core/ops/gemm.h"

namespace equipoise::testing_support {
namespace {

void CheckShapes(ConstTensorView x, ConstTensorView weights, ConstTensorView y) {
  EQ_CHECK(x.shape().rank() == 2 && weights.shape().rank() == 3 && y.shape().rank() == 2 &&
           x.dim(0) == y.dim(0) && x.dim(1) == weights.dim(2) && y.dim(1) == weights.dim(1))
      << "x " << x.shape() << ", weights " << weights.shape() << ", y " << y.shape();
}

}  // namespace

void GroupedLinearForward(const Context& context, ConstTensorView x, ConstTensorView offsets,
                          ConstTensorView weights, TensorView y) {
  CheckShapes(x, weights, y);
  ForEachRun(offsets, weights.dim(0), x.dim(0), [&](int64_t e, int64_t begin, int64_t end) {
    Gemm(context, Transpose::kNo, Transpose::kYes, 1.0, x.Rows(begin, end),
         ExpertMatrix(weights, e), 0.0, y.Rows(begin, end));
  });
}

void GroupedLinearBackwardData(const Context& context, ConstTensorView dy, ConstTensorView offsets,
                               ConstTensorView weights, TensorView dx) {
  if (dx.absent()) return;
  CheckShapes(dx, weights, dy);
  ForEachRun(offsets, weights.dim(0), dy.dim(0), [&](int64_t e, int64_t begin, int64_t end) {
    Gemm(context, Transpose::kNo, Transpose::kNo, 1.0, dy.Rows(begin, end),
         ExpertMatrix(weights, e), 0.0, dx.Rows(begin, end));
  });
}

void GroupedLinearBackwardWeights(const Context& context, ConstTensorView x, ConstTensorView dy,
                                  ConstTensorView offsets, TensorView dweights) {
  CheckShapes(x, dweights, dy);
  ForEachRun(offsets, dweights.dim(0), x.dim(0), [&](int64_t e, int64_t begin, int64_t end) {
    Gemm(context, Transpose::kYes, Transpose::kNo, 1.0, dy.Rows(begin, end), x.Rows(begin, end),
         1.0, ExpertMatrix(dweights, e));
  });
}

}  // namespace equipoise::testing_support
