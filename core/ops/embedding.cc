#include "core/ops/embedding.h"

#include "core/base/check.h"
#include "core/ops/cpu/embedding.h"
#include "core/tensor/dtype.h"

namespace equipoise {
namespace {

void CheckRows(ConstTensorView ids, ConstTensorView table, ConstTensorView y) {
  EQ_CHECK_EQ(ids.shape().rank(), 1);
  EQ_CHECK_EQ(table.shape().rank(), 2);
  EQ_CHECK_EQ(y.shape(), (Shape{ids.dim(0), table.dim(1)}));
}

}  // namespace

void EmbeddingForward(const Context&, ConstTensorView ids, ConstTensorView table, TensorView y) {
  CheckRows(ids, table, y);
  DispatchFloat(y.dtype(), [&]<typename T>() { cpu::EmbeddingForward<T>(ids, table, y); });
}

void EmbeddingBackward(const Context&, ConstTensorView ids, ConstTensorView dy, TensorView dtable) {
  CheckRows(ids, dtable, dy);
  DispatchFloat(dy.dtype(), [&]<typename T>() { cpu::EmbeddingBackward<T>(ids, dy, dtable); });
}

}  // namespace equipoise
