#include "tests/bench/products.h"

#include <algorithm>

#include "core/base/status_macros.h"
#include "core/ops/elementwise.h"
#include "core/ops/gemm.h"

namespace equipoise::bench {
namespace {

// Long enough for the clock, short enough to fall between two interruptions.
constexpr double kProductFlops = 0.4e9;

}  // namespace

absl::StatusOr<Tensor> MakeFilled(RankMemory& memory, const Shape& shape, double value) {
  EQ_ASSIGN_OR_RETURN(Tensor tensor, Tensor::Create(memory.device(), DType::kF32, shape));
  Fill(memory.context(), value, tensor.view());
  return tensor;
}

absl::StatusOr<ProductTimer> ProductTimer::Create(RankMemory& memory, Stopwatch& stopwatch,
                                                  const std::vector<Product>& products) {
  ProductTimer timer(memory, stopwatch);
  int64_t a = 0, b = 0, c = 0;
  for (const Product& product : products) {
    a = std::max(a, product.m * product.k);
    b = std::max(b, product.k * product.n);
    c = std::max(c, product.m * product.n);
  }
  // Small values: products with beta = 1 add up over all rounds.
  EQ_ASSIGN_OR_RETURN(timer.a_, MakeFilled(memory, {a}, 1e-3));
  EQ_ASSIGN_OR_RETURN(timer.b_, MakeFilled(memory, {b}, 1e-3));
  EQ_ASSIGN_OR_RETURN(timer.c_, MakeFilled(memory, {c}, 0.0));
  return timer;
}

absl::StatusOr<double> ProductTimer::Measure(const Product& product) {
  const bool a_is_transposed = product.transpose_a == Transpose::kYes;
  const bool b_is_transposed = product.transpose_b == Transpose::kYes;
  const Shape a_shape = a_is_transposed ? Shape{product.k, product.m} : Shape{product.m, product.k};
  const Shape b_shape = b_is_transposed ? Shape{product.n, product.k} : Shape{product.k, product.n};
  const TensorView a = a_.view().Rows(0, a_shape.num_elements()).Reshaped(a_shape);
  const TensorView b = b_.view().Rows(0, b_shape.num_elements()).Reshaped(b_shape);
  const TensorView c = c_.view().Rows(0, product.m * product.n).Reshaped({product.m, product.n});
  const int repeats = static_cast<int>(std::max(1.0, kProductFlops / product.flops()));
  EQ_ASSIGN_OR_RETURN(const double seconds, stopwatch_->Time([&] {
    for (int i = 0; i < repeats; ++i) {
      Gemm(memory_->context(), product.transpose_a, product.transpose_b, 1.0, a, b, product.beta,
           c);
    }
    return absl::OkStatus();
  }));
  return repeats * product.flops() / seconds;
}

}  // namespace equipoise::bench
