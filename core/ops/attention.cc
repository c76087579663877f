#include "core/ops/attention.h"

#include "core/base/check.h"
#include "core/ops/cpu/attention.h"

namespace equipoise {
namespace {

void CheckSame(const char* name, ConstTensorView view, DType dtype, const Shape& shape) {
  EQ_CHECK(view.dtype() == dtype && view.shape() == shape)
      << name << " is " << view.dtype() << " " << view.shape() << ", not " << dtype << " " << shape;
}

// Checks what both directions read; returns the shape of log_sum_exp.
Shape CheckInputs(int64_t sequence_length, ConstTensorView q, ConstTensorView k,
                  ConstTensorView v) {
  EQ_CHECK(q.shape().rank() == 3 && k.shape().rank() == 3) << q.shape() << " and " << k.shape();
  EQ_CHECK_GE(sequence_length, 1);
  EQ_CHECK_EQ(q.dim(0) % sequence_length, 0) << "rows are not whole sequences";
  EQ_CHECK_GE(q.dim(2), 1);
  EQ_CHECK_GE(k.dim(1), 1);
  EQ_CHECK_EQ(q.dim(1) % k.dim(1), 0) << "query heads do not share key-value heads evenly";
  CheckSame("k", k, q.dtype(), {q.dim(0), k.dim(1), q.dim(2)});
  CheckSame("v", v, q.dtype(), k.shape());
  return {q.dim(0), q.dim(1)};
}

}  // namespace

void AttentionForward(const Context& context, int64_t sequence_length, ConstTensorView q,
                      ConstTensorView k, ConstTensorView v, TensorView out,
                      TensorView log_sum_exp) {
  const Shape statistics = CheckInputs(sequence_length, q, k, v);
  CheckSame("out", out, q.dtype(), q.shape());
  CheckSame("log_sum_exp", log_sum_exp, q.dtype(), statistics);
  cpu::AttentionForward(context, sequence_length, q, k, v, out, log_sum_exp);
}

void AttentionBackward(const Context& context, int64_t sequence_length, const AttentionSaved& saved,
                       ConstTensorView dout, TensorView dq, TensorView dk, TensorView dv) {
  const Shape statistics = CheckInputs(sequence_length, saved.q, saved.k, saved.v);
  const DType dtype = saved.q.dtype();
  CheckSame("out", saved.out, dtype, saved.q.shape());
  CheckSame("log_sum_exp", saved.log_sum_exp, dtype, statistics);
  CheckSame("dout", dout, dtype, saved.q.shape());
  CheckSame("dq", dq, dtype, saved.q.shape());
  CheckSame("dk", dk, dtype, saved.k.shape());
  CheckSame("dv", dv, dtype, saved.k.shape());
  cpu::AttentionBackward(context, sequence_length, saved, dout, dq, dk, dv);
}

}  // namespace equipoise
