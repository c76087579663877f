#include "core/ops/swiglu_experts.h"

#include "core/base/check.h"
#include "core/ops/expert_runs.h"
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
        LinearForward(context, rows.x.Rows(begin, end), ExpertMatrix(weights.gate_up, e), gate_up);
        context.Poll();
        SwiGluForward(context, gate_up, act);
        LinearForward(context, act, ExpertMatrix(weights.down, e), y.Rows(begin, end));
        context.Poll();
      });
}

void SwiGluExpertsBackward(const Context& context, const SwiGluExpertsRows<ConstTensorView>& rows,
                           const SwiGluExpertsWeights<ConstTensorView>& weights, ConstTensorView dy,
                           const SwiGluExpertsWeights<TensorView>& gradients, TensorView dx) {
  CheckShapes(rows.x, rows.gate_up, weights, dy);
  CheckShapes(rows.x, rows.gate_up, gradients, dx);
  const int64_t width = weights.down.dim(2);
  ForEachRun(
      rows.offsets, weights.down.dim(0), dy.dim(0), [&](int64_t e, int64_t begin, int64_t end) {
        const WorkspaceFrame frame(*context.scratch);
        const ConstTensorView gate_up = rows.gate_up.Rows(begin, end);
        const TensorView act = context.scratch->Allocate(dy.dtype(), {end - begin, width});
        const TensorView dact = context.scratch->Allocate(dy.dtype(), act.shape());
        const TensorView d_gate_up = context.scratch->Allocate(dy.dtype(), gate_up.shape());
        // The forward pass kept no activation: this pass costs less than the memory would.
        SwiGluForward(context, gate_up, act);
        LinearBackward(context, act, ExpertMatrix(weights.down, e), dy.Rows(begin, end), dact,
                       /*accumulate_dx=*/false, ExpertMatrix(gradients.down, e));
        context.Poll();
        SwiGluBackward(context, gate_up, dact, d_gate_up);
        LinearBackward(context, rows.x.Rows(begin, end), ExpertMatrix(weights.gate_up, e),
                       d_gate_up, dx.Rows(begin, end), /*accumulate_dx=*/false,
                       ExpertMatrix(gradients.gate_up, e));
        context.Poll();
      });
}

}  // namespace equipoise
