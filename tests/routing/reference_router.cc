#include "tests/routing/reference_router.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace equipoise::routing {
namespace {

double LogSumExp(const std::vector<double>& row) {
  double sum = 0.0;
  for (const double value : row) sum += std::exp(value);
  return std::log(sum);
}

// The K largest, descending, ties to the lowest id.
std::vector<int32_t> Best(const std::vector<double>& row, int top_k) {
  std::vector<int32_t> ids(row.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) {
    return row[static_cast<size_t>(a)] > row[static_cast<size_t>(b)];
  });
  ids.resize(static_cast<size_t>(top_k));
  return ids;
}

std::vector<double> Scores(const RouterOptions& options, const std::vector<double>& row,
                           const std::vector<int32_t>& ids) {
  const bool sigmoid = options.settings.GetString("score") == "SIGMOID";
  const bool selected = options.settings.GetString("selection") == "SCORE_SELECTED";
  std::vector<double> among;
  for (const int32_t id : ids) among.push_back(row[static_cast<size_t>(id)]);
  const double denominator = LogSumExp(selected ? among : row);
  std::vector<double> scores;
  for (const double logit : among) {
    scores.push_back(sigmoid ? 1.0 / (1.0 + std::exp(-logit)) : std::exp(logit - denominator));
  }
  return scores;
}

std::vector<double> Probabilities(const RouterOptions& options, const std::vector<double>& row) {
  const bool sigmoid = options.settings.GetString("score") == "SIGMOID";
  std::vector<double> p;
  for (const double logit : row) {
    p.push_back(sigmoid ? 1.0 / (1.0 + std::exp(-logit)) : std::exp(logit));
  }
  const double sum = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& value : p) value /= sum;
  return p;
}

}  // namespace

ReferenceRouting RouteByDefinition(const RouterOptions& options, std::span<const double> x,
                                   std::span<const double> weight) {
  const size_t hidden = static_cast<size_t>(options.hidden);
  const size_t experts = static_cast<size_t>(options.num_experts);
  const size_t tokens = x.size() / hidden;
  ReferenceRouting out;
  out.counts.assign(experts, 0.0);
  for (size_t t = 0; t < tokens; ++t) {
    std::vector<double> row(experts, 0.0);
    for (size_t e = 0; e < experts; ++e) {
      for (size_t h = 0; h < hidden; ++h) row[e] += x[t * hidden + h] * weight[e * hidden + h];
    }
    const auto ids = Best(row, options.top_k);
    auto gates = Scores(options, row, ids);
    const double sum = std::accumulate(gates.begin(), gates.end(), 0.0);
    for (double& gate : gates) {
      gate *= options.settings.GetDouble("scaling_factor");
      if (options.settings.GetBool("renormalise")) gate /= sum;
    }
    const auto p = Probabilities(options, row);
    for (const double value : p) out.entropy -= value * std::log(value);
    for (const int32_t id : ids) out.counts[static_cast<size_t>(id)] += 1.0;
    out.z_loss += std::pow(LogSumExp(row), 2.0);
    out.logits.insert(out.logits.end(), row.begin(), row.end());
    out.probabilities.insert(out.probabilities.end(), p.begin(), p.end());
    out.ids.insert(out.ids.end(), ids.begin(), ids.end());
    out.gates.insert(out.gates.end(), gates.begin(), gates.end());
  }
  if (tokens > 0) out.z_loss *= options.z_loss.coefficient / static_cast<double>(tokens);
  return out;
}

double BalanceByDefinition(const RouterOptions& options, const ReferenceRouting& routing,
                           int64_t group_tokens) {
  const size_t experts = static_cast<size_t>(options.num_experts);
  const size_t top_k = static_cast<size_t>(options.top_k);
  const size_t tokens = routing.probabilities.size() / experts;
  const size_t group = static_cast<size_t>(group_tokens);
  double total = 0.0;
  for (size_t begin = 0; begin < tokens; begin += group) {
    std::vector<double> f(experts, 0.0);
    std::vector<double> p(experts, 0.0);
    for (size_t t = begin; t < begin + group; ++t) {
      for (size_t k = 0; k < top_k; ++k) {
        f[static_cast<size_t>(routing.ids[t * top_k + k])] +=
            1.0 / static_cast<double>(top_k * group);
      }
      for (size_t e = 0; e < experts; ++e) {
        p[e] += routing.probabilities[t * experts + e] / static_cast<double>(group);
      }
    }
    total += std::inner_product(f.begin(), f.end(), p.begin(), 0.0);
  }
  return options.balance_loss.coefficient * static_cast<double>(experts) * total *
         static_cast<double>(group) / static_cast<double>(tokens);
}

}  // namespace equipoise::routing
