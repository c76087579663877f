#include "core/ops/cross_entropy.h"

#include "core/base/check.h"
#include "core/ops/cpu/cross_entropy.h"

namespace equipoise {
namespace {

void CheckIs(const char* name, ConstTensorView view, DType dtype, const Shape& shape) {
  EQ_CHECK(view.dtype() == dtype && view.shape() == shape)
      << name << " is " << view.dtype() << " " << view.shape() << ", not " << dtype << " " << shape;
}

}  // namespace

void CrossEntropy(const Context& context, const CrossEntropyOptions& options, ConstTensorView x,
                  ConstTensorView head, ConstTensorView targets, TensorView losses, TensorView dx,
                  TensorView dhead) {
  EQ_CHECK(x.shape().rank() == 2 && head.shape().rank() == 2) << x.shape() << ", " << head.shape();
  EQ_CHECK_GE(options.chunk_rows, 1);
  CheckIs("head", head, x.dtype(), {head.dim(0), x.dim(1)});
  CheckIs("targets", targets, DType::kI32, {x.dim(0)});
  CheckIs("losses", losses, DType::kF64, {x.dim(0)});
  if (!dx.absent()) CheckIs("dx", dx, x.dtype(), x.shape());
  if (!dhead.absent()) CheckIs("dhead", dhead, x.dtype(), head.shape());
  cpu::CrossEntropy(context, options, x, head, targets, losses, dx, dhead);
}

}  // namespace equipoise
