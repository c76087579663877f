#include "tests/bench/ceilings.h"

#include <algorithm>

#include "core/base/status_macros.h"
#include "core/ops/elementwise.h"
#include "core/ops/gemm.h"

namespace equipoise::bench {
namespace {

// Long enough for the clock, short enough to fall between two interruptions.
constexpr double kProductFlops = 0.4e9;

std::vector<Product> ExpertProducts(int64_t rows, int64_t hidden, int64_t width) {
  constexpr Transpose kNo = Transpose::kNo, kYes = Transpose::kYes;
  return {
      {"gate_up forward", kNo, kYes, rows, 2 * width, hidden, 0.0},
      {"down forward", kNo, kYes, rows, hidden, width, 0.0},
      {"down data gradient", kNo, kNo, rows, width, hidden, 0.0},
      {"gate_up data gradient", kNo, kNo, rows, hidden, 2 * width, 0.0},
      {"down weight gradient", kYes, kNo, hidden, width, rows, 1.0},
      {"gate_up weight gradient", kYes, kNo, 2 * width, hidden, rows, 1.0},
  };
}

absl::StatusOr<Tensor> MakeFilled(RankMemory& memory, const Shape& shape, double value) {
  EQ_ASSIGN_OR_RETURN(Tensor tensor, Tensor::Create(memory.device(), DType::kF32, shape));
  Fill(memory.context(), value, tensor.view());
  return tensor;
}

}  // namespace

Ceilings::Ceilings(comm::Communicator& world, RankMemory& memory, Stopwatch& stopwatch)
    : ranks_(world.size()),
      memory_(&memory),
      stopwatch_(&stopwatch),
      exchange_(comm::MakeFlatRowExchange(world)) {}

absl::StatusOr<Ceilings> Ceilings::Create(comm::Communicator& world, RankMemory& memory,
                                          Stopwatch& stopwatch, const Options& options) {
  Ceilings ceilings(world, memory, stopwatch);
  ceilings.products_ = ExpertProducts(options.expert_rows, options.hidden, options.width);
  ceilings.product_rates_.resize(ceilings.products_.size());
  int64_t a = 0, b = 0, c = 0;
  for (const Product& product : ceilings.products_) {
    a = std::max(a, product.m * product.k);
    b = std::max(b, product.k * product.n);
    c = std::max(c, product.m * product.n);
  }
  // Small values: the weight gradients add up over all rounds.
  EQ_ASSIGN_OR_RETURN(ceilings.a_, MakeFilled(memory, {a}, 1e-3));
  EQ_ASSIGN_OR_RETURN(ceilings.b_, MakeFilled(memory, {b}, 1e-3));
  EQ_ASSIGN_OR_RETURN(ceilings.c_, MakeFilled(memory, {c}, 0.0));
  const int64_t rows_per_rank = options.moved_rows / world.size();
  const Shape moved = {rows_per_rank * world.size(), options.hidden};
  EQ_ASSIGN_OR_RETURN(ceilings.source_, MakeFilled(memory, moved, 1.0));
  EQ_ASSIGN_OR_RETURN(ceilings.target_, MakeFilled(memory, moved, 0.0));
  ceilings.counts_.send.assign(static_cast<size_t>(world.size()), rows_per_rank);
  ceilings.counts_.receive = ceilings.counts_.send;
  return ceilings;
}

absl::StatusOr<double> Ceilings::MeasureProduct(const Product& product) {
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

absl::StatusOr<double> Ceilings::MeasureCopy() {
  EQ_ASSIGN_OR_RETURN(const double seconds, stopwatch_->Time([&] {
    Copy(memory_->context(), source_.view(), target_.view());
    return absl::OkStatus();
  }));
  return 2.0 * static_cast<double>(source_.view().num_bytes()) / seconds;
}

absl::StatusOr<double> Ceilings::MeasureExchange() {
  EQ_ASSIGN_OR_RETURN(const double seconds, stopwatch_->Time([&]() -> absl::Status {
    EQ_ASSIGN_OR_RETURN(comm::Work work, exchange_->Start(memory_->context(), counts_,
                                                          source_.view(), target_.view()));
    return work.Wait(comm::WaitOptions());
  }));
  return static_cast<double>(source_.view().num_bytes()) / seconds;
}

absl::Status Ceilings::MeasureRound() {
  double fastest = 0.0;
  for (size_t i = 0; i < products_.size(); ++i) {
    EQ_ASSIGN_OR_RETURN(const double rate, MeasureProduct(products_[i]));
    product_rates_[i].push_back(rate);
    fastest = std::max(fastest, rate);
  }
  gemm_rates_.push_back(fastest);
  EQ_ASSIGN_OR_RETURN(const double rate, MeasureCopy());
  copy_rates_.push_back(rate);
  if (ranks_ > 1) {
    EQ_ASSIGN_OR_RETURN(const double exchange_rate, MeasureExchange());
    exchange_rates_.push_back(exchange_rate);
  }
  return absl::OkStatus();
}

}  // namespace equipoise::bench
