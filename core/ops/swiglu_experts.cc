#include "core/ops/swiglu_experts.h"

#include "core/base/check.h"
#include "core/ops/gemm.h"
#include "core/ops/swiglu.h"

namespace equipoise {
namespace {

template <class View>
void CheckShapes(ConstTensorView x, ConstTensorView gate_up,
                 const SwiGluExpertsWeights<View>& weights, ConstTensorView y) {
  const int64_t rows = x.dim(0), hidden = x.dim(1), width = gate_up.dim(1) / 2;
  const int64_t experts = weights.gate_up.dim(0);
  EQ_CHECK_EQ(gate_up.shape(), (Shape{rows, 2 * width}));
  EQ_CHECK_EQ(weights.gate_up.shape(), (Shape{experts, 2 * width, hidden}));
  EQ_CHECK_EQ(weights.down.shape(), (Shape{experts, hidden, width}));
  EQ_CHECK_EQ(y.shape(), x.shape());
}

// Calls body(e, begin, end) for every expert that has rows.
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

// One expert's matrix of [E_r, out, in].
template <class View>
View MatrixOf(const View& weights, int64_t e) {
  return weights.Rows(e, e + 1).Reshaped({weights.dim(1), weights.dim(2)});
}

}  // namespace

void SwiGluExpertsForward(const Context& context, const SwiGluExpertsRows<TensorView>& rows,
                          const SwiGluExpertsWeights<ConstTensorView>& weights, TensorView y) {
  CheckShapes(rows.x, rows.gate_up, weights, y);
  const int64_t width = weights.down.dim(2);
  ForEachRun(
      rows.offsets, weights.down.dim(0), y.dim(0), [&](int64_t e, int64_t begin, int64_t end) {
        const WorkspaceFrame frame(*context.scratch);
        const TensorView gate_up = rows.gate_up.Rows(begin, end);
        const TensorView act = context.scratch->Allocate(y.dtype(), {end - begin, width});
        LinearForward(context, rows.x.Rows(begin, end), MatrixOf(weights.gate_up, e), gate_up);
        SwiGluForward(context, gate_up, act);
        LinearForward(context, act, MatrixOf(weights.down, e), y.Rows(begin, end));
      });
}

void SwiGluExpertsBackward(const Context& context, const SwiGluExpertsRows<ConstTensorView>& rows,
                           const SwiGluExpertsWeights<ConstTensorView>& weights, ConstTensorView dy,
                           const SwiGluExpertsWeights<TensorView>& gradients, TensorView dx) {
  CheckShapes(rows.x, rows.gate_up, weights, dy);
  CheckShapes(rows.x, rows.gate_up, gradients, dx);
  const int64_t width = weights.down.dim(2);
  ForEachRun(rows.offsets, weights.down.dim(0), dy.dim(0),
             [&](int64_t e, int64_t begin, int64_t end) {
               const WorkspaceFrame frame(*context.scratch);
               const ConstTensorView gate_up = rows.gate_up.Rows(begin, end);
               const TensorView act = context.scratch->Allocate(dy.dtype(), {end - begin, width});
               const TensorView dact = context.scratch->Allocate(dy.dtype(), act.shape());
               const TensorView d_gate_up = context.scratch->Allocate(dy.dtype(), gate_up.shape());
               // The forward pass kept no activation: this pass costs less than the memory would.
               SwiGluForward(context, gate_up, act);
               LinearBackward(context, act, MatrixOf(weights.down, e), dy.Rows(begin, end), dact,
                              /*accumulate_dx=*/false, MatrixOf(gradients.down, e));
               SwiGluBackward(context, gate_up, dact, d_gate_up);
               LinearBackward(context, rows.x.Rows(begin, end), MatrixOf(weights.gate_up, e),
                              d_gate_up, dx.Rows(begin, end), /*accumulate_dx=*/false,
                              MatrixOf(gradients.gate_up, e));
             });
}

}  // namespace equipoise
