#include "tests/bench/router_work.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "core/ops/elementwise.h"
#include "core/ops/swiglu.h"

namespace equipoise::bench {
namespace {

constexpr Transpose kNo = Transpose::kNo, kYes = Transpose::kYes;

// Fit the first-level cache with their results.
constexpr int64_t kActivationRows = 1;

double Bytes(const RouterShape& shape) {
  return static_cast<double>(sizeof(float)) * static_cast<double>(shape.tokens * shape.hidden);
}

// y = x W^T of a linear layer from `in` to `out` for T tokens, and both its gradients.
void AddLinear(const std::string& name, int64_t tokens, int64_t in, int64_t out,
               std::vector<Product>& products) {
  products.push_back({name + " forward", kNo, kYes, tokens, out, in, 0.0});
  products.push_back({name + " data gradient", kNo, kNo, tokens, in, out, 0.0});
  products.push_back({name + " weight gradient", kYes, kNo, out, in, tokens, 1.0});
}

// The same product for a tile: T becomes `rows`.
Product OfTile(Product product, int64_t tokens, int64_t rows) {
  for (int64_t* extent : {&product.m, &product.n, &product.k}) {
    if (*extent == tokens) *extent = std::min(tokens, rows);
  }
  return product;
}

// The same product with operands turned round beforehand: a weight [out, in] stored [in, out], a
// gradient that is summed up as its transpose.
std::vector<Product> Variants(const Product& product) {
  std::vector<Product> variants = {product, product};
  Product& turned = variants.back();
  if (product.transpose_a == kYes) {
    std::swap(turned.m, turned.n);
  } else {
    turned.transpose_b = product.transpose_b == kYes ? kNo : kYes;
  }
  return variants;
}

void KeepBest(double rate, double& best) { best = std::max(best, rate); }

}  // namespace

RouterWork TopKWork(const RouterShape& shape) {
  RouterWork work;
  AddLinear("gate", shape.tokens, shape.hidden, shape.experts, work.products);
  // x in each pass, dx.
  work.bytes_read = 2.0 * Bytes(shape);
  work.bytes_updated = 2.0 * Bytes(shape);
  return work;
}

RouterWork LprWork(const RouterShape& shape, const LprWorkOptions& options) {
  RouterWork work;
  const int64_t tokens = shape.tokens, dimensions = shape.dimensions, experts = shape.experts;
  std::vector<Product>& products = work.products;
  const int64_t moments = options.log_variances ? 2 * dimensions : dimensions;
  AddLinear(absl::StrCat("encoder of ", moments), tokens, shape.hidden, moments, products);
  AddLinear("similarity", tokens, dimensions, experts, products);
  if (!options.learned_prototypes) products.pop_back();
  products.push_back({"Gram matrix", kYes, kNo, dimensions, dimensions, tokens, 0.0});
  products.push_back({"Gram gradient", kNo, kNo, tokens, dimensions, dimensions, 1.0});
  // x in each pass, dx.
  work.bytes_read = 2.0 * Bytes(shape);
  work.bytes_updated = 2.0 * Bytes(shape);
  work.activations = static_cast<double>(tokens * shape.hidden);
  if (options.decode) {
    // v = q P, its two gradients, and the decoder; y = x + v W^T in place, and dy.
    products.push_back({"read-out forward", kNo, kNo, tokens, dimensions, experts, 0.0});
    products.push_back({"read-out data gradient", kNo, kYes, tokens, experts, dimensions, 1.0});
    products.push_back({"read-out weight gradient", kYes, kNo, experts, dimensions, tokens, 1.0});
    AddLinear("decoder", tokens, dimensions, shape.hidden, products);
    work.bytes_updated += 2.0 * Bytes(shape);
    work.bytes_read += Bytes(shape);
  }
  return work;
}

RouterFloor FloorOf(const RouterWork& work, const FloorRates& rates) {
  RouterFloor floor;
  for (const Product& product : work.products) {
    floor.products += product.flops() / rates.products.at(product.name);
  }
  floor.memory = work.bytes_read / rates.read + work.bytes_updated / rates.update;
  floor.activations = work.activations / rates.activations;
  return floor;
}

absl::StatusOr<FloorTimer> FloorTimer::Create(RankMemory& memory, Stopwatch& stopwatch,
                                              const RouterShape& shape) {
  std::vector<Product> products = TopKWork(shape).products;
  for (const Product& product : LprWork(shape, {true, true, true}).products) {
    products.push_back(product);
  }
  EQ_ASSIGN_OR_RETURN(ProductTimer product_timer,
                      ProductTimer::Create(memory, stopwatch, products));
  FloorTimer timer(memory, stopwatch, shape, std::move(product_timer));
  const Shape rows = {shape.tokens, shape.hidden};
  EQ_ASSIGN_OR_RETURN(timer.source_, MakeFilled(memory, rows, 1e-3));
  EQ_ASSIGN_OR_RETURN(timer.target_, MakeFilled(memory, rows, 0.0));
  EQ_ASSIGN_OR_RETURN(timer.gate_up_, MakeFilled(memory, {kActivationRows, 2 * shape.hidden}, 0.5));
  EQ_ASSIGN_OR_RETURN(timer.d_gate_up_,
                      MakeFilled(memory, {kActivationRows, 2 * shape.hidden}, 0.0));
  EQ_ASSIGN_OR_RETURN(timer.outputs_, MakeFilled(memory, {kActivationRows, shape.hidden}, 0.5));
  return timer;
}

absl::Status FloorTimer::MeasureProduct(const Product& product) {
  double fastest = 0.0;
  for (const int64_t rows : {kTileTokens, shape_.tokens}) {
    for (const Product& variant : Variants(OfTile(product, shape_.tokens, rows))) {
      EQ_ASSIGN_OR_RETURN(const double rate, product_timer_.Measure(variant));
      KeepBest(rate, fastest);
    }
  }
  last_.products[product.name] = fastest;
  KeepBest(fastest, best_.products[product.name]);
  return absl::OkStatus();
}

absl::Status FloorTimer::MeasureMemory() {
  const Context& context = memory_->context();
  bool finite = false;
  EQ_ASSIGN_OR_RETURN(const double read, stopwatch_->Time([&] {
    finite = AllFinite(context, source_.view());
    return absl::OkStatus();
  }));
  EQ_CHECK(finite);
  EQ_ASSIGN_OR_RETURN(const double update, stopwatch_->Time([&] {
    Scale(context, 0.5, target_.view());
    return absl::OkStatus();
  }));
  last_.read = Bytes(shape_) / read;
  last_.update = 2.0 * Bytes(shape_) / update;
  KeepBest(last_.read, best_.read);
  KeepBest(last_.update, best_.update);
  return absl::OkStatus();
}

absl::Status FloorTimer::MeasureActivations() {
  const Context& context = memory_->context();
  const int64_t repeats = (shape_.tokens + kActivationRows - 1) / kActivationRows;
  EQ_ASSIGN_OR_RETURN(const double seconds, stopwatch_->Time([&] {
    for (int64_t i = 0; i < repeats; ++i) {
      SwiGluForward(context, gate_up_.view(), outputs_.view());
      SwiGluBackward(context, gate_up_.view(), outputs_.view(), d_gate_up_.view());
    }
    return absl::OkStatus();
  }));
  const int64_t elements = repeats * kActivationRows * shape_.hidden;
  last_.activations = static_cast<double>(elements) / seconds;
  KeepBest(last_.activations, best_.activations);
  return absl::OkStatus();
}

absl::Status FloorTimer::MeasureRound(const std::vector<RouterWork>& works) {
  last_ = FloorRates();
  for (const RouterWork& work : works) {
    for (const Product& product : work.products) {
      if (last_.products.count(product.name) > 0) continue;
      EQ_RETURN_IF_ERROR(MeasureProduct(product));
    }
  }
  EQ_RETURN_IF_ERROR(MeasureMemory());
  return MeasureActivations();
}

}  // namespace equipoise::bench
