#ifndef EQUIPOISE_PARALLEL_TRAIN_OPTIONS_H_
#define EQUIPOISE_PARALLEL_TRAIN_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "comm/exchange/node_transport.h"
#include "comm/link_model.h"
#include "core/data/dataset.h"
#include "core/optim/adamw.h"
#include "core/optim/schedule.h"
#include "parallel/model_options.h"

namespace equipoise::parallel {

// How the work of a step is laid out over ranks. None of it changes the result.
struct LayoutOptions {
  // Ranks that share one set of experts; divides the number of ranks. 0: all of them.
  int expert_parallel = 0;
  // Owner (in [0, expert_parallel)) of every expert; empty: contiguous and even.
  std::vector<int> expert_owner;
  // All-to-all algorithm, one of ExpertExchangeNames().
  std::string exchange = "flat";
  // Chunks of a layer's tokens, of which one travels while another is computed.
  int exchange_chunks = 1;
  // How rows get from rank to rank inside a node.
  comm::NodeTransport inside_nodes = comm::NodeTransport::kSharedMemory;
  // Elements of a gradient bucket: what travels while earlier layers still compute.
  int64_t bucket_elements = int64_t{1} << 20;
  // Keep only a layer's input in the forward pass and run the layer again in the backward pass.
  bool recompute = false;
  // What links cost, as far as it is known; the rest is measured. Rank 0's counts.
  comm::LinkModel links;
};

// Where auxiliary losses of global-batch scope take their load from.
enum class LoadSource : uint8_t {
  kAuto,          // kCurrentStep without accumulation, else kPreviousStep
  kCurrentStep,   // REQUIRES: accumulation_steps == 1
  kPreviousStep,  // the same for every accumulation; the first step runs without the term
};

struct BatchOptions {
  int64_t sequences = 0;        // B of the whole step, over all ranks and micro-batches
  int64_t sequence_length = 0;  // S
  int accumulation_steps = 1;
  LoadSource load_source = LoadSource::kAuto;
};

struct OptimizerOptions {
  AdamWOptions adamw;
  ScheduleOptions schedule;
  double max_gradient_norm = 1.0;  // 0: no clipping
};

struct CheckpointOptions {
  int64_t every_steps = 0;  // 0: only at the end, if save_at_end
  bool save_at_end = true;
  int64_t keep = 2;             // newest checkpoints that stay
  std::string resume = "auto";  // auto | never | must | a checkpoint's directory
};

struct ValidationOptions {
  int64_t every_steps = 0;  // 0: only at the first and the last step
  int64_t sequences = 0;    // windows per domain; 0: no validation
};

// Local routing consistency (routing/local_consistency.h) in telemetry.
struct ConsistencyTelemetry {
  int64_t every_steps = 0;   // 0: never
  int segment = 16;          // tokens of a window
  double cache_ratio = 2.0;  // experts of the cache, in units of K
};

struct TrainOptions {
  // Of model.moe.router.locality, num_nodes may be 0: as many as the job's machines.
  ModelOptions model;
  LayoutOptions layout;
  BatchOptions batch;
  OptimizerOptions optimizer;
  CheckpointOptions checkpoint;
  ValidationOptions validation;
  DatasetOptions data;
  // Each home node reads text of its own: see core/data/node_mixture.h.
  bool data_by_node = false;
  ConsistencyTelemetry consistency;
  // Resume also from a checkpoint that was trained on other data.
  bool allow_other_data = false;
  int64_t steps = 0;
  // Stop early (as if steps were reached) once this much time has passed; infinite: never.
  absl::Duration time_limit = absl::InfiniteDuration();
  uint64_t seed = 0;
};

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_TRAIN_OPTIONS_H_
