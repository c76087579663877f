#include "tests/bench/ceilings.h"

#include <algorithm>
#include <utility>

#include "core/base/status_macros.h"
#include "core/ops/elementwise.h"

namespace equipoise::bench {
namespace {

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

}  // namespace

Ceilings::Ceilings(comm::Communicator& world, RankMemory& memory, Stopwatch& stopwatch,
                   std::vector<Product> products, ProductTimer product_timer)
    : ranks_(world.size()),
      memory_(&memory),
      stopwatch_(&stopwatch),
      products_(std::move(products)),
      product_timer_(std::move(product_timer)),
      exchange_(comm::MakeFlatRowExchange(world)) {}

absl::StatusOr<Ceilings> Ceilings::Create(comm::Communicator& world, RankMemory& memory,
                                          Stopwatch& stopwatch, const Options& options) {
  std::vector<Product> products =
      ExpertProducts(options.expert_rows, options.hidden, options.width);
  EQ_ASSIGN_OR_RETURN(ProductTimer timer, ProductTimer::Create(memory, stopwatch, products));
  Ceilings ceilings(world, memory, stopwatch, std::move(products), std::move(timer));
  ceilings.product_rates_.resize(ceilings.products_.size());
  const int64_t rows_per_rank = options.moved_rows / world.size();
  const Shape moved = {rows_per_rank * world.size(), options.hidden};
  EQ_ASSIGN_OR_RETURN(ceilings.source_, MakeFilled(memory, moved, 1.0));
  EQ_ASSIGN_OR_RETURN(ceilings.target_, MakeFilled(memory, moved, 0.0));
  ceilings.counts_ = comm::RowMatrix(world.size());
  for (int from = 0; from < world.size(); ++from) {
    for (int to = 0; to < world.size(); ++to) ceilings.counts_.set(from, to, rows_per_rank);
  }
  return ceilings;
}

absl::StatusOr<double> Ceilings::MeasureCopy() {
  EQ_ASSIGN_OR_RETURN(const double seconds, stopwatch_->Time([&] {
    Copy(memory_->context(), source_.view(), target_.view());
    return absl::OkStatus();
  }));
  return 2.0 * static_cast<double>(source_.view().num_bytes()) / seconds;
}

absl::StatusOr<double> Ceilings::MeasureExchange() {
  EQ_ASSIGN_OR_RETURN(const double seconds, stopwatch_->Time([&] {
    return exchange_->Run(memory_->context(), counts_, source_.view(), target_.view(), {});
  }));
  return static_cast<double>(source_.view().num_bytes()) / seconds;
}

absl::Status Ceilings::MeasureRound() {
  double fastest = 0.0;
  for (size_t i = 0; i < products_.size(); ++i) {
    EQ_ASSIGN_OR_RETURN(const double rate, product_timer_.Measure(products_[i]));
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
