#include "parallel/step_report.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <numeric>
#include <optional>
#include <span>
#include <vector>

#include "comm/link_model.h"
#include "comm/topology.h"
#include "routing/load_stats.h"
#include "routing/local_consistency.h"

namespace equipoise::parallel {
namespace {

constexpr double kHalfMebibyte = 524288.0;

// Adds `value` to the entry of that name, made if there is none.
void Accumulate(NamedValues& values, const std::string& name, double value) {
  const auto found = std::find_if(values.begin(), values.end(),
                                  [&](const auto& entry) { return entry.first == name; });
  if (found == values.end()) {
    values.emplace_back(name, value);
  } else {
    found->second += value;
  }
}

void FillLoad(std::span<const double> counts, int64_t tokens, LoadRecord& record) {
  const int num_experts = static_cast<int>(counts.size());
  const routing::LoadStats load = routing::ComputeLoadStats(counts);
  // Tokens may have fewer copies than K, or another number each.
  const double copies = std::accumulate(counts.begin(), counts.end(), 0.0);
  const double per_token = tokens > 0 ? copies / static_cast<double>(tokens) : 0.0;
  const routing::LoadStats floor = routing::SamplingFloor(tokens, num_experts, per_token);
  record.counts.assign(counts.begin(), counts.end());
  record.gini = load.gini;
  record.min_max = load.min_max;
  record.max_over_mean = load.max_over_mean;
  record.cv = load.cv;
  record.entropy = load.entropy;
  record.dead = load.dead;
  record.floor_gini = floor.gini;
  record.floor_min_max = floor.min_max;
  record.floor_max_over_mean = floor.max_over_mean;
  record.floor_cv = floor.cv;
  record.floor_entropy = floor.entropy;
  record.floor_dead = floor.dead;
}

ExchangeRecord ReportExchange(const ExchangeSums& sums) {
  ExchangeRecord record;
  record.algorithm = sums.algorithm;
  if (sums.copies > 0.0) {
    record.rank_share = sums.rank_copies / sums.copies;
    record.node_share = sums.node_copies / sums.copies;
    record.balance_efficiency = sums.mean_rows / sums.max_rows;
  }
  record.copies_per_token = sums.copies / sums.tokens;
  record.nodes_per_token = sums.token_nodes / sums.tokens;
  record.self_bytes = static_cast<int64_t>(sums.bytes[0]);
  record.node_bytes = static_cast<int64_t>(sums.bytes[1]);
  record.remote_bytes = static_cast<int64_t>(sums.bytes[2] + sums.bytes[3]);
  record.far_bytes = static_cast<int64_t>(sums.bytes[3]);
  record.predicted_seconds = sums.predicted_seconds;
  record.measured_seconds = sums.measured_seconds;
  record.exposed_seconds = sums.exposed_seconds;
  record.hidden_seconds = sums.hidden_seconds;
  return record;
}

// Of copies [N, E] by home node: the share that stays at home, and the mean over nodes, by copies,
// of the divergence of a node's copies from its localised target.
void AddHomeFigures(std::span<const double> copies, int num_experts,
                    const routing::LocalityOptions& locality, NamedValues& figures) {
  const std::vector<int32_t> node_of = routing::NodesOfExperts(num_experts, locality.num_nodes);
  const std::vector<double> targets = routing::LocalisedTargets(locality, num_experts);
  const size_t experts = node_of.size();
  double all = 0.0;
  double at_home = 0.0;
  double divergence = 0.0;
  for (size_t node = 0; node * experts < copies.size(); ++node) {
    const auto row = copies.subspan(node * experts, experts);
    const double total = std::accumulate(row.begin(), row.end(), 0.0);
    all += total;
    for (size_t e = 0; e < experts; ++e) {
      if (static_cast<size_t>(node_of[e]) == node) at_home += row[e];
      if (row[e] > 0.0)
        divergence += row[e] * std::log(row[e] / total / targets[node * experts + e]);
    }
  }
  if (all == 0.0) return;
  figures.emplace_back("home_share", at_home / all);
  figures.emplace_back("home_kl", divergence / all);
}

// Of counts as CountConsistency's; `prefix` tells nodes from experts.
void AddConsistency(std::span<const double> counts, const std::string& prefix,
                    NamedValues& figures) {
  if (counts.empty()) return;
  const auto windows = counts.first(counts.size() - 2);
  const double needed = counts.back();
  if (const auto best = routing::BestSegmentRouting(windows)) {
    figures.emplace_back(prefix + "srp", best->performance);
    figures.emplace_back(prefix + "srp_size", best->size);
  }
  if (needed > 0.0) figures.emplace_back(prefix + "sch", counts[counts.size() - 2] / needed);
}

// As sent, so after capacity; where no exchange was recorded, as chosen.
std::vector<int64_t> RankLoads(const MoeLayerResult& layer, std::span<const double> counts,
                               const routing::ExpertPlacement& placement) {
  const std::vector<double>& sent = layer.exchange.rank_loads;
  if (!sent.empty()) return {sent.begin(), sent.end()};
  std::vector<int64_t> loads(static_cast<size_t>(placement.num_owners()));
  for (size_t expert = 0; expert < counts.size(); ++expert) {
    const int owner = placement.owner_of(static_cast<int>(expert));
    loads[static_cast<size_t>(owner)] += static_cast<int64_t>(counts[expert]);
  }
  return loads;
}

LayerRecord ReportLayer(const MoeLayerResult& layer, int64_t tokens, int num_experts,
                        const routing::ExpertPlacement& placement,
                        const routing::LocalityOptions& locality) {
  LayerRecord record;
  record.layer = layer.layer;
  const size_t experts = static_cast<size_t>(num_experts);
  const std::span<const double> counts = std::span(layer.sums).first(experts);
  FillLoad(counts, tokens, record);
  const double copies = std::accumulate(counts.begin(), counts.end(), 0.0);
  record.rank_loads = RankLoads(layer, counts, placement);
  record.dropped_share = copies > 0.0 ? layer.sums[experts] / copies : 0.0;
  const double entropy = layer.sums[experts + 1];
  if (entropy > 0.0 && num_experts > 1) {
    record.router_entropy = entropy / static_cast<double>(tokens) / std::log(num_experts);
  }
  for (const routing::LossTerm& term : layer.losses) {
    record.auxiliary.emplace_back(term.name, term.value);
  }
  if (layer.exchange.tokens > 0.0) record.exchange = ReportExchange(layer.exchange);
  if (!layer.routes.home_copies.empty()) {
    AddHomeFigures(layer.routes.home_copies, num_experts, locality, record.figures);
  }
  record.gate_bins.assign(layer.routes.gate_bins.begin(), layer.routes.gate_bins.end());
  record.token_copies.assign(layer.routes.token_copies.begin(), layer.routes.token_copies.end());
  record.figures.insert(record.figures.end(), layer.figures.begin(), layer.figures.end());
  AddConsistency(layer.routes.experts, "", record.figures);
  AddConsistency(layer.routes.nodes, "node_", record.figures);
  return record;
}

ValidationLayerRecord ReportLayer(const EvaluatedLayer& layer,
                                  std::span<const int64_t> domain_tokens) {
  ValidationLayerRecord record;
  record.layer = layer.layer;
  std::vector<double> total(layer.domain_counts.front().size());
  int64_t tokens = 0;
  for (size_t d = 0; d < domain_tokens.size(); ++d) {
    if (domain_tokens[d] == 0) continue;
    tokens += domain_tokens[d];
    const std::vector<double>& counts = layer.domain_counts[d];
    std::transform(total.begin(), total.end(), counts.begin(), total.begin(), std::plus<>());
    record.domain_counts.emplace_back(counts.begin(), counts.end());
  }
  FillLoad(total, tokens, record);
  return record;
}

}  // namespace

StepRecord ReportStep(const StepResult& result, int num_experts,
                      const routing::ExpertPlacement& placement,
                      const routing::LocalityOptions& locality) {
  StepRecord record;
  record.step = result.step;
  record.loss = result.loss;
  record.cross_entropy = result.cross_entropy;
  record.learning_rate = result.learning_rate;
  record.gradient_norm = result.gradient_norm;
  if (!result.layers.empty()) {
    const auto nodes = static_cast<std::ptrdiff_t>(result.num_nodes);
    for (auto row = result.node_bytes.begin(); row != result.node_bytes.end(); row += nodes) {
      record.node_bytes.emplace_back(row, row + nodes);
    }
  }
  record.exchange_factors = result.exchange_factors;
  for (int i = 0; i < comm::kNumLinkClasses; ++i) {
    const auto link = static_cast<comm::LinkClass>(i);
    const comm::Link& now = result.links[link];
    if (!now.known()) continue;
    record.link_seconds.emplace_back(comm::Name(link), now.latency + now.Seconds(kHalfMebibyte));
  }
  for (const MoeLayerResult& layer : result.layers) {
    record.layers.push_back(ReportLayer(layer, result.tokens, num_experts, placement, locality));
    for (const routing::LossTerm& term : layer.losses) {
      Accumulate(record.auxiliary, term.name, term.value);
    }
  }
  return record;
}

ValidationRecord ReportValidation(const EvaluationResult& result,
                                  const std::vector<std::string>& domains, double bytes_per_token) {
  const auto bits_per_byte = [&](double nats) -> std::optional<double> {
    if (bytes_per_token <= 0.0) return std::nullopt;
    return nats / std::numbers::ln2 / bytes_per_token;
  };
  ValidationRecord record;
  record.loss = result.cross_entropy;
  record.bits_per_byte = bits_per_byte(result.cross_entropy);
  for (size_t d = 0; d < domains.size(); ++d) {
    if (result.domain_tokens[d] == 0) continue;
    const double loss =
        result.domain_cross_entropy[d] / static_cast<double>(result.domain_tokens[d]);
    record.domains.push_back({domains[d], loss, bits_per_byte(loss)});
  }
  for (const EvaluatedLayer& layer : result.layers) {
    record.layers.push_back(ReportLayer(layer, result.domain_tokens));
  }
  return record;
}

}  // namespace equipoise::parallel
