// The rows of metrics.jsonl; docs/telemetry.md is their description.

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/telemetry/metrics_writer.h"

namespace equipoise {
namespace {

using Json = nlohmann::ordered_json;

Json ToJson(const NamedValues& values) {
  Json object = Json::object();
  for (const auto& [name, value] : values) object[name] = value;
  return object;
}

Json ToJson(const PhaseSeconds& time) {
  Json object = Json::object();
  for (int i = 0; i < kNumPhases; ++i) {
    const Phase phase = static_cast<Phase>(i);
    object[std::string(Name(phase))] = time[phase];
  }
  return object;
}

Json ToJson(const LoadRecord& layer) {
  Json object;
  object["layer"] = layer.layer;
  object["counts"] = layer.counts;
  object["gini"] = layer.gini;
  object["min_max"] = layer.min_max;
  object["max_over_mean"] = layer.max_over_mean;
  object["cv"] = layer.cv;
  object["entropy"] = layer.entropy;
  object["dead"] = layer.dead;
  object["floor_gini"] = layer.floor_gini;
  if (layer.floor_min_max.has_value()) object["floor_min_max"] = *layer.floor_min_max;
  object["floor_max_over_mean"] = layer.floor_max_over_mean;
  object["floor_cv"] = layer.floor_cv;
  object["floor_entropy"] = layer.floor_entropy;
  object["floor_dead"] = layer.floor_dead;
  return object;
}

Json ToJson(const ExchangeRecord& exchange) {
  Json object;
  object["algorithm"] = exchange.algorithm;
  object["rank_share"] = exchange.rank_share;
  object["node_share"] = exchange.node_share;
  object["copies_per_token"] = exchange.copies_per_token;
  object["nodes_per_token"] = exchange.nodes_per_token;
  object["self_bytes"] = exchange.self_bytes;
  object["node_bytes"] = exchange.node_bytes;
  object["remote_bytes"] = exchange.remote_bytes;
  object["far_bytes"] = exchange.far_bytes;
  object["predicted_seconds"] = exchange.predicted_seconds;
  object["measured_seconds"] = exchange.measured_seconds;
  object["exposed_seconds"] = exchange.exposed_seconds;
  object["hidden_seconds"] = exchange.hidden_seconds;
  object["balance_efficiency"] = exchange.balance_efficiency;
  return object;
}

Json ToJson(const LayerRecord& layer) {
  Json object = ToJson(static_cast<const LoadRecord&>(layer));
  object["dropped_share"] = layer.dropped_share;
  if (layer.router_entropy.has_value()) object["router_entropy"] = *layer.router_entropy;
  object["rank_loads"] = layer.rank_loads;
  if (!layer.gate_bins.empty()) object["gate_bins"] = layer.gate_bins;
  if (!layer.token_copies.empty()) object["token_copies"] = layer.token_copies;
  for (const auto& [name, value] : layer.figures) object[name] = value;
  object["auxiliary"] = ToJson(layer.auxiliary);
  if (layer.exchange.has_value()) object["exchange"] = ToJson(*layer.exchange);
  return object;
}

Json ToJson(const ValidationRecord& validation) {
  Json domains = Json::object();
  for (const DomainLoss& domain : validation.domains) {
    Json& entry = domains[domain.domain];
    entry["loss"] = domain.loss;
    if (domain.bits_per_byte.has_value()) entry["bits_per_byte"] = *domain.bits_per_byte;
  }
  Json object;
  object["loss"] = validation.loss;
  if (validation.bits_per_byte.has_value()) object["bits_per_byte"] = *validation.bits_per_byte;
  object["domains"] = std::move(domains);
  object["moe"] = Json::array();
  for (const ValidationLayerRecord& layer : validation.layers) {
    Json entry = ToJson(static_cast<const LoadRecord&>(layer));
    for (size_t d = 0; d < layer.domain_counts.size(); ++d) {
      entry["domain_counts"][validation.domains[d].domain] = layer.domain_counts[d];
    }
    object["moe"].push_back(std::move(entry));
  }
  return object;
}

// Replaces numbers JSON cannot say and notes them by JSON pointer. As deep as a row: four levels.
void ReplaceNonFinite(Json& value, const Json::json_pointer& where, Json& found) {
  if (value.is_number_float()) {
    const double number = value.get<double>();
    if (std::isfinite(number)) return;
    found[where.to_string()] = std::isnan(number) ? "nan" : number > 0 ? "inf" : "-inf";
    value = nullptr;
  } else if (value.is_object()) {
    for (auto& [key, child] : value.items()) ReplaceNonFinite(child, where / key, found);
  } else if (value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i) ReplaceNonFinite(value[i], where / i, found);
  }
}

std::string Finish(Json row) {
  Json non_finite = Json::object();
  ReplaceNonFinite(row, Json::json_pointer(), non_finite);
  if (!non_finite.empty()) row["non_finite"] = std::move(non_finite);
  // A domain's or loss's name may come from a file name in any encoding.
  return row.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string StepRecordToJson(const StepRecord& record) {
  Json row;
  row["step"] = record.step;
  row["tokens"] = record.tokens_seen;
  row["loss"] = record.loss;
  row["cross_entropy"] = record.cross_entropy;
  row["auxiliary"] = ToJson(record.auxiliary);
  row["learning_rate"] = record.learning_rate;
  row["gradient_norm"] = record.gradient_norm;
  row["tokens_per_second"] = record.tokens_per_second;
  row["step_seconds"] = record.step_seconds;
  row["time"] = ToJson(record.time);
  if (record.mfu.has_value()) row["mfu"] = *record.mfu;
  row["moe"] = Json::array();
  for (const LayerRecord& layer : record.layers) row["moe"].push_back(ToJson(layer));
  if (!record.node_bytes.empty()) row["node_bytes"] = record.node_bytes;
  if (!record.link_seconds.empty()) row["link_seconds"] = ToJson(record.link_seconds);
  if (!record.exchange_factors.empty()) {
    row["exchange_factors"] = ToJson(record.exchange_factors);
  }
  if (record.validation.has_value()) row["validation"] = ToJson(*record.validation);
  return Finish(std::move(row));
}

std::string ValidationToJson(int64_t step, int64_t tokens_seen, const ValidationRecord& record) {
  Json row;
  row["step"] = step;
  row["tokens"] = tokens_seen;
  row["validation"] = ToJson(record);
  return Finish(std::move(row));
}

}  // namespace equipoise
