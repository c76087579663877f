#include "core/telemetry/scalars.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"

namespace equipoise {
namespace {

void AddLayer(const LayerRecord& layer, std::vector<Scalar>& scalars) {
  const std::string label = absl::StrCat(layer.layer);
  const auto add = [&](std::string_view family, double value) {
    scalars.push_back({family, "layer", label, value});
  };
  add("moe_gini", layer.gini);
  add("moe_floor_gini", layer.floor_gini);
  add("moe_min_max", layer.min_max);
  add("moe_max_over_mean", layer.max_over_mean);
  add("moe_floor_max_over_mean", layer.floor_max_over_mean);
  add("moe_dead", static_cast<double>(layer.dead));
  add("moe_dropped_share", layer.dropped_share);
  if (layer.router_entropy.has_value()) add("moe_router_entropy", *layer.router_entropy);
  if (layer.exchange.has_value()) {
    add("moe_node_share", layer.exchange->node_share);
    add("moe_remote_bytes", static_cast<double>(layer.exchange->remote_bytes));
    add("moe_exchange_predicted_seconds", layer.exchange->predicted_seconds);
    add("moe_exchange_measured_seconds", layer.exchange->measured_seconds);
    add("moe_exchange_exposed_seconds", layer.exchange->exposed_seconds);
    add("moe_exchange_hidden_seconds", layer.exchange->hidden_seconds);
    add("moe_balance_efficiency", layer.exchange->balance_efficiency);
  }
  if (layer.rank_loads.empty()) return;
  add("moe_rank_load_max",
      static_cast<double>(*std::max_element(layer.rank_loads.begin(), layer.rank_loads.end())));
}

}  // namespace

std::vector<Scalar> ScalarsOf(const StepRecord& record) {
  std::vector<Scalar> scalars;
  const auto add = [&](std::string_view family, double value) {
    scalars.push_back({family, {}, {}, value});
  };
  add("tokens", static_cast<double>(record.tokens_seen));
  add("loss", record.loss);
  add("cross_entropy", record.cross_entropy);
  add("learning_rate", record.learning_rate);
  add("gradient_norm", record.gradient_norm);
  add("tokens_per_second", record.tokens_per_second);
  add("step_seconds", record.step_seconds);
  if (record.mfu.has_value()) add("mfu", *record.mfu);
  for (const auto& [name, value] : record.auxiliary) {
    scalars.push_back({"auxiliary", "loss", name, value});
  }
  for (int i = 0; i < kNumPhases; ++i) {
    const Phase phase = static_cast<Phase>(i);
    scalars.push_back({"time_seconds", "phase", std::string(Name(phase)), record.time[phase]});
  }
  for (const auto& [name, value] : record.link_seconds) {
    scalars.push_back({"link_seconds", "link", name, value});
  }
  for (const LayerRecord& layer : record.layers) AddLayer(layer, scalars);
  if (record.validation.has_value()) {
    std::vector<Scalar> validation = ScalarsOf(*record.validation);
    std::move(validation.begin(), validation.end(), std::back_inserter(scalars));
  }
  return scalars;
}

std::vector<Scalar> ScalarsOf(const ValidationRecord& record) {
  std::vector<Scalar> scalars = {{"validation_loss", {}, {}, record.loss}};
  if (record.bits_per_byte.has_value()) {
    scalars.push_back({"validation_bits_per_byte", {}, {}, *record.bits_per_byte});
  }
  for (const DomainLoss& domain : record.domains) {
    scalars.push_back({"validation_domain_loss", "domain", domain.domain, domain.loss});
  }
  return scalars;
}

}  // namespace equipoise
