#ifndef EQUIPOISE_CORE_OPS_ELEMENTWISE_H_
#define EQUIPOISE_CORE_OPS_ELEMENTWISE_H_

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"

namespace equipoise {

// y = x, element by element.
void Copy(const Context& context, ConstTensorView x, TensorView y);
// x = value.
void Fill(const Context& context, double value, TensorView x);
// y += alpha * x.
void Axpy(const Context& context, double alpha, ConstTensorView x, TensorView y);
// x *= alpha.
void Scale(const Context& context, double alpha, TensorView x);
// Sum of squares in double, added in an order that depends on the length alone. Host value.
double SumOfSquares(const Context& context, ConstTensorView x);
// True when no element is NaN or infinite. Host value.
bool AllFinite(const Context& context, ConstTensorView x);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_OPS_ELEMENTWISE_H_
