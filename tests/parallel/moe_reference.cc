#include "tests/parallel/moe_reference.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "tests/routing/reference_router.h"

namespace equipoise::testing_support {
namespace {

using parallel::ModelOptions;
using routing::ReferenceRouting;
using Row = std::vector<double>;

Row RmsNorm(const Row& x, const Row& gain, double epsilon) {
  double squares = 0.0;
  for (const double v : x) squares += v * v;
  const double inverse = 1.0 / std::sqrt(squares / static_cast<double>(x.size()) + epsilon);
  Row y;
  for (size_t i = 0; i < x.size(); ++i) y.push_back(x[i] * inverse * gain[i]);
  return y;
}

Row Apply(const Row& matrix, const Row& x) {
  Row y(matrix.size() / x.size(), 0.0);
  for (size_t i = 0; i < y.size(); ++i) {
    for (size_t j = 0; j < x.size(); ++j) y[i] += matrix[i * x.size() + j] * x[j];
  }
  return y;
}

Row SwiGlu(const NamedArrays& values, const std::string& name, const Row& x) {
  const Row gate = Apply(values.at(name + "gate_proj.weight"), x);
  Row act = Apply(values.at(name + "up_proj.weight"), x);
  for (size_t i = 0; i < act.size(); ++i) act[i] *= gate[i] / (1.0 + std::exp(-gate[i]));
  return Apply(values.at(name + "down_proj.weight"), act);
}

// Sets the ids of copies over capacity to -1: of each sequence an expert keeps its highest gates.
int64_t DropByDefinition(const routing::RouterOptions& options, int64_t sequence_length,
                         ReferenceRouting& routing) {
  if (options.capacity.factor == 0.0) return 0;
  const auto width = static_cast<size_t>(sequence_length * options.top_k);
  const auto capacity = static_cast<size_t>(
      std::ceil(options.capacity.factor * static_cast<double>(width) / options.num_experts));
  int64_t dropped = 0;
  for (size_t first = 0; first < routing.ids.size(); first += width) {
    for (int expert = 0; expert < options.num_experts; ++expert) {
      std::vector<size_t> copies;
      for (size_t i = first; i < first + width; ++i) {
        if (routing.ids[i] == expert) copies.push_back(i);
      }
      std::stable_sort(copies.begin(), copies.end(),
                       [&](size_t a, size_t b) { return routing.gates[a] > routing.gates[b]; });
      for (size_t i = capacity; i < copies.size(); ++i, ++dropped) routing.ids[copies[i]] = -1;
    }
  }
  return dropped;
}

// The output of one token: every expert, weighted by its gate or by nothing.
Row TokenOutput(const ModelOptions& options, const std::string& mlp, const NamedArrays& values,
                const Row& norm, std::span<const int32_t> ids, std::span<const double> gates) {
  Row sum(norm.size(), 0.0);
  for (int expert = 0; expert < options.moe.router.num_experts; ++expert) {
    double weight = 0.0;
    for (size_t k = 0; k < ids.size(); ++k) weight += ids[k] == expert ? gates[k] : 0.0;
    const Row y = SwiGlu(values, absl::StrCat(mlp, "experts.", expert, "."), norm);
    for (size_t i = 0; i < y.size(); ++i) sum[i] += weight * y[i];
  }
  if (options.moe.shared_expert_width > 0) {
    const Row y = SwiGlu(values, mlp + "shared_experts.", norm);
    for (size_t i = 0; i < y.size(); ++i) sum[i] += y[i];
  }
  return sum;
}

}  // namespace

MoeReferenceResult MoeByDefinition(const ModelOptions& options, int64_t sequence_length,
                                   const std::string& prefix, const NamedArrays& values,
                                   std::span<const double> h) {
  const auto hidden = static_cast<size_t>(options.hidden);
  const size_t tokens = h.size() / hidden;
  const std::string mlp = prefix + "mlp.";
  std::vector<double> norms;
  for (size_t t = 0; t < tokens; ++t) {
    const Row norm =
        RmsNorm(Row(h.begin() + static_cast<std::ptrdiff_t>(t * hidden),
                    h.begin() + static_cast<std::ptrdiff_t>((t + 1) * hidden)),
                values.at(prefix + "post_attention_layernorm.weight"), options.norm_epsilon);
    norms.insert(norms.end(), norm.begin(), norm.end());
  }
  routing::RouterOptions router = options.moe.router;
  router.hidden = options.hidden;
  ReferenceRouting routing =
      routing::RouteByDefinition(router, norms, values.at(mlp + "gate.weight"));

  MoeReferenceResult result;
  result.balance = routing::BalanceByDefinition(router, routing, static_cast<int64_t>(tokens));
  result.z = routing.z_loss;
  result.counts = routing.counts;
  result.dropped = DropByDefinition(router, sequence_length, routing);
  const auto top_k = static_cast<size_t>(router.top_k);
  for (size_t t = 0; t < tokens; ++t) {
    const auto at = norms.begin() + static_cast<std::ptrdiff_t>(t * hidden);
    const Row sum = TokenOutput(options, mlp, values, Row(at, at + options.hidden),
                                std::span(routing.ids).subspan(t * top_k, top_k),
                                std::span(routing.gates).subspan(t * top_k, top_k));
    for (size_t i = 0; i < hidden; ++i) result.output.push_back(h[t * hidden + i] + sum[i]);
  }
  return result;
}

}  // namespace equipoise::testing_support
