#ifndef EQUIPOISE_CORE_TELEMETRY_STEP_RECORD_H_
#define EQUIPOISE_CORE_TELEMETRY_STEP_RECORD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/telemetry/phase.h"

// What a training step reports. Plain values, filled by the trainer, read by every sink; the keys
// they get in metrics.jsonl are in docs/telemetry.md. All figures are of the whole step: over all
// ranks and all micro-batches, unless they say otherwise.

namespace equipoise {

// (name, value) in the order they shall be written.
using NamedValues = std::vector<std::pair<std::string, double>>;

// How even the load of a layer's E experts is, with K chosen per token.
struct LoadRecord {
  int layer = 0;                // index in the model, dense layers counted
  std::vector<int64_t> counts;  // [E] token copies each expert was chosen for
  // Of `counts`; definitions as routing::LoadStats.
  double gini = 0.0;
  double min_max = 1.0;
  double max_over_mean = 1.0;
  double cv = 0.0;
  double entropy = 1.0;
  int64_t dead = 0;
  // The same figures had every token chosen K experts at random: below them is luck. min_max has
  // none in closed form, so it may be absent.
  double floor_gini = 0.0;
  std::optional<double> floor_min_max;
  double floor_max_over_mean = 1.0;
  double floor_cv = 0.0;
  double floor_entropy = 1.0;
  int64_t floor_dead = 0;
};

// What one MoE layer's exchanges moved, and in what time; R ranks on N nodes.
struct ExchangeRecord {
  std::string algorithm;
  // Of the copies: computed on the rank, or on the node, where their token lives.
  double rank_share = 1.0;
  double node_share = 1.0;
  double copies_per_token = 0.0;
  double nodes_per_token = 0.0;
  // Forward and backward, by what lies between sender and receiver.
  int64_t self_bytes = 0;
  int64_t node_bytes = 0;
  int64_t remote_bytes = 0;
  int64_t far_bytes = 0;  // of these, to another group of nodes
  // By the cost model, and spent on dispatch and combine: mean over ranks.
  double predicted_seconds = 0.0;
  double measured_seconds = 0.0;
  // While transfers were under way, mean over ranks: waited for, and covered by computing.
  double exposed_seconds = 0.0;
  double hidden_seconds = 0.0;
  double balance_efficiency = 1.0;  // rows computed: mean over most of any rank; 1 is even
};

// One MoE layer in one step; R ranks of an expert-parallel group.
struct LayerRecord : LoadRecord {
  double dropped_share = 0.0;  // of the token copies, by the capacity limit; in [0, 1]
  // Mean over tokens of the entropy of the router's scores, divided by ln E; 0 certain, 1 uniform.
  // Absent for routers without scores.
  std::optional<double> router_entropy;
  std::vector<int64_t> rank_loads;  // [R] token copies each rank's experts received
  // Histograms, copies as sent; empty where they are not counted.
  std::vector<int64_t> gate_bins;     // copies by gate; edges in routing/gate_histogram.h
  std::vector<int64_t> token_copies;  // tokens by their number of copies, from none on
  NamedValues auxiliary;              // this layer's auxiliary losses, weighted as in the loss
  std::optional<ExchangeRecord> exchange;
  NamedValues figures;  // what else was measured, by its key
};

struct DomainLoss {
  std::string domain;
  double loss = 0.0;  // cross entropy in nats per token
  // Absent where the bytes behind the tokens are not known.
  std::optional<double> bits_per_byte;
};

// One MoE layer on held-out text. `counts` are copies as sent, after any capacity.
struct ValidationLayerRecord : LoadRecord {
  // The same by domain, in the order of ValidationRecord::domains.
  std::vector<std::vector<int64_t>> domain_counts;
};

struct ValidationRecord {
  double loss = 0.0;  // cross entropy in nats per token, over all domains
  std::optional<double> bits_per_byte;
  std::vector<DomainLoss> domains;
  std::vector<ValidationLayerRecord> layers;  // MoE layers, in order
};

struct StepRecord {
  int64_t step = 0;         // the first step of a run is 1
  int64_t tokens_seen = 0;  // after this step
  double loss = 0.0;        // cross entropy plus all auxiliary losses: what is minimised
  double cross_entropy = 0.0;
  NamedValues auxiliary;  // each auxiliary loss, weighted, summed over layers
  double learning_rate = 0.0;
  double gradient_norm = 0.0;  // before clipping
  double tokens_per_second = 0.0;
  double step_seconds = 0.0;  // wall clock of this rank
  PhaseSeconds time;          // of this rank; adds up to step_seconds
  // Model FLOP/s over the measured GEMM ceiling of the same ranks, in [0, 1].
  std::optional<double> mfu;
  std::vector<LayerRecord> layers;  // MoE layers, in order
  // [N][N] bytes from a node (first index) to a node, by the exchanges of all layers.
  std::vector<std::vector<int64_t>> node_bytes;
  // By class of link: seconds of a message of half a MiB, as the run knows its links by now. By
  // exchange algorithm: what its exchanges take, over what links explain.
  NamedValues link_seconds;
  NamedValues exchange_factors;
  std::optional<ValidationRecord> validation;
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_TELEMETRY_STEP_RECORD_H_
