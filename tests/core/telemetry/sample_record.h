#ifndef EQUIPOISE_TESTS_CORE_TELEMETRY_SAMPLE_RECORD_H_
#define EQUIPOISE_TESTS_CORE_TELEMETRY_SAMPLE_RECORD_H_

#include <cstdint>

#include "core/telemetry/step_record.h"

namespace equipoise {

// A step's record in which every number differs from every other, and from another step's.
inline StepRecord SampleRecord(int64_t step, int num_layers = 2, int num_experts = 8,
                               int num_ranks = 3) {
  const double s = static_cast<double>(step);
  StepRecord record;
  record.step = step;
  record.tokens_seen = step * 4096;
  record.loss = 3.5 + 1.0 / s;
  record.cross_entropy = 3.25 + 1.0 / s;
  record.auxiliary = {{"balance", 0.2 / s}, {"z", 0.05 / s}};
  record.learning_rate = 6e-4 / s;
  record.gradient_norm = 0.82 + 0.01 * s;
  record.tokens_per_second = 41234.5 + s;
  record.step_seconds = 0.1 + 0.001 * s;
  record.time[Phase::kExperts] = 0.06 + 0.001 * s;
  record.time[Phase::kOther] = 0.04;
  record.mfu = 0.5 - 0.1 / s;
  for (int layer = 0; layer < num_layers; ++layer) {
    LayerRecord& entry = record.layers.emplace_back();
    entry.layer = layer + 1;
    for (int e = 0; e < num_experts; ++e) entry.counts.push_back((step * 7 + e * 31 + layer) % 997);
    for (int r = 0; r < num_ranks; ++r) entry.rank_loads.push_back(step * 100 + r * 10 + layer);
    for (int bin = 0; bin < 42; ++bin) {
      entry.gate_bins.push_back(bin % 3 == 0 ? 0 : step * 1000 + bin * 10 + layer);
    }
    entry.token_copies = {0, step + 7 * layer, step * 4096};
    entry.gini = 0.1 / s + 0.01 * layer;
    entry.max_over_mean = 1.5 + 0.1 / s + layer;
    entry.floor_gini = 0.011 * (layer + 1);
    ExchangeRecord& exchange = entry.exchange.emplace();
    exchange.algorithm = "flat";
    exchange.node_share = 0.5 + 0.1 / s + 0.01 * layer;
    exchange.remote_bytes = step * 1000 + layer;
    exchange.far_bytes = step * 100 + layer;
    exchange.predicted_seconds = 0.01 + 0.001 * layer;
    exchange.measured_seconds = 0.012 + 0.001 * layer + 0.0001 * s;
    exchange.exposed_seconds = 0.008 + 0.001 * layer + 0.0002 * s;
    exchange.hidden_seconds = 0.003 + 0.001 * layer + 0.0003 * s;
  }
  record.link_seconds = {{"self", 1e-5 + 1e-7 * s}, {"remote", 0.006 + 1e-5 * s}};
  record.node_bytes = {{step, 2 * step}, {3 * step, 5}};
  return record;
}

}  // namespace equipoise

#endif  // EQUIPOISE_TESTS_CORE_TELEMETRY_SAMPLE_RECORD_H_
