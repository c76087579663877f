#ifndef EQUIPOISE_PARALLEL_TRAIN_STEP_H_
#define EQUIPOISE_PARALLEL_TRAIN_STEP_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "comm/communicator.h"
#include "comm/link_model.h"
#include "comm/topology.h"
#include "core/device/context.h"
#include "core/nn/parameter.h"
#include "core/telemetry/timers.h"
#include "core/tensor/tensor.h"
#include "parallel/batch_layout.h"
#include "parallel/domain_loads.h"
#include "parallel/exchange_log.h"
#include "parallel/expert_exchange.h"
#include "parallel/gradient_sync.h"
#include "parallel/mesh.h"
#include "parallel/route_counts.h"
#include "parallel/router_statistics.h"
#include "parallel/sharded_optimizer.h"
#include "parallel/train_options.h"
#include "parallel/transformer.h"

namespace equipoise::parallel {

// Fills `tokens` [S + 1] with sample `index` and tells the domain it comes from. The same on every
// rank; see TokenDataset::GetSample.
using SampleSource =
    std::function<absl::Status(uint64_t index, std::span<int32_t> tokens, int* domain)>;

// The home node of sample `index` of an evaluation, which comes from `domain`.
using HomeOfSample = std::function<int(uint64_t index, int domain)>;

// Why a run ends before its last step. What one rank asks for, all ranks do, after the same step.
enum class StopReason : uint8_t {
  kNone,
  kTime,     // the time limit
  kRequest,  // somebody asked: a signal
};
// This rank's wish. Asked once a step, late in it; must be quick.
using StopVote = std::function<StopReason()>;

// One MoE layer in one step, over all ranks.
struct MoeLayerResult {
  int layer = 0;                          // position in the model
  std::vector<double> sums;               // see routing::Router
  std::vector<routing::LossTerm> losses;  // weighted auxiliary losses
  ExchangeSums exchange = {};
  LayerRouteCounts routes = {};
  routing::RouterFigures figures = {};
};

// One optimizer step, over all ranks: the same on every rank.
struct StepResult {
  int64_t step = 0;
  int64_t tokens = 0;
  double loss = 0.0;  // what was minimised: cross entropy plus auxiliary losses
  double cross_entropy = 0.0;
  double learning_rate = 0.0;
  double gradient_norm = 0.0;           // before clipping
  StopReason stop = StopReason::kNone;  // the gravest of all ranks' votes
  std::vector<MoeLayerResult> layers;
  // Sums of cross entropy, and numbers of tokens, by domain.
  std::vector<double> domain_cross_entropy;
  std::vector<int64_t> domain_tokens;
  // [N * N] bytes from a node (first index) to a node, by the exchanges of all layers.
  std::vector<double> node_bytes;
  int num_nodes = 0;
  // As this rank's expert group knows them after the step; unknown in a dense model. With them, by
  // algorithm, the exchanges' factors.
  comm::LinkModel links;
  std::vector<std::pair<std::string, double>> exchange_factors;
};

// One MoE layer on fixed samples, over all ranks.
struct EvaluatedLayer {
  int layer = 0;                                   // position in the model
  std::vector<std::vector<double>> domain_counts;  // [domains][E], see DomainLoads
};

// Cross entropy and load on fixed samples, over all ranks; by domain, as above.
struct EvaluationResult {
  double cross_entropy = 0.0;  // mean over domains' tokens
  std::vector<double> domain_cross_entropy;
  std::vector<int64_t> domain_tokens;
  std::vector<EvaluatedLayer> layers;
};

// Everything one rank owns to train a model, and the step that uses it: forward and backward of
// every micro-batch, gradient sum, clipping, update. Loss and gradients are those of the whole
// batch, whatever the layout. Collective over the world; belongs to one thread; device and world
// outlive it.
class TrainStep {
 public:
  // Parameters are initialised from options.seed. `num_domains` >= 1 labels that samples may carry.
  static absl::StatusOr<std::unique_ptr<TrainStep>> Create(Device& device,
                                                           comm::Communicator& world,
                                                           const TrainOptions& options,
                                                           int num_domains);

  // Step `step` (from 1) on samples [(step - 1) * B, step * B). DataLoss when the loss or the
  // gradient is not finite: parameters are then those before the step. `vote` (null: never) travels
  // with the losses, so that agreeing to stop costs no message of its own.
  absl::StatusOr<StepResult> Run(const SampleSource& source, int64_t step,
                                 const StopVote& vote = nullptr);

  // Forward and backward of step `step` and the gradient sum, without the update: afterwards
  // sync().shard() holds this rank's part of the gradient. For tests and Run.
  absl::StatusOr<StepResult> ComputeGradient(const SampleSource& source, int64_t step,
                                             const StopVote& vote = nullptr);

  // Samples [0, count) of `source`, dealt out over ranks. `home` (null: nodes take turns) says
  // where they live, whoever runs them.
  absl::StatusOr<EvaluationResult> Evaluate(const SampleSource& source, int64_t count,
                                            const HomeOfSample& home = nullptr);

  // What the time since the start of the last Run was spent on, on this rank.
  PhaseTimers& timers() { return timers_; }
  Transformer& model() { return *model_; }
  ParameterRegistry& parameters() { return parameters_; }
  GradientSync& sync() { return *sync_; }
  ShardedOptimizer& optimizer() { return *optimizer_; }
  RouterStatistics& statistics() { return *statistics_; }
  const routing::ExpertPlacement& placement() const { return exchange_->placement(); }
  const Mesh& mesh() const { return *mesh_; }
  // Locality with its number of nodes resolved; what does not lie where it takes it to be, or
  // empty.
  const routing::LocalityOptions& locality() const { return options_.model.moe.router.locality; }
  const std::string& stray_warning() const { return stray_warning_; }
  // Of all ranks of the job; what its links cost, none for a model without experts.
  const comm::Topology& topology() const { return topology_; }
  const comm::LinkModel& links() const { return links_; }
  const Context& context() const { return context_; }

 private:
  TrainStep(Device& device, comm::Communicator& world, const TrainOptions& options,
            int num_domains);
  absl::Status CreateMemory(Device& device);
  // Resolves the number of nodes and places the experts.
  absl::StatusOr<routing::ExpertPlacement> Place();
  absl::Status CreateModel(Device& device);
  absl::Status CreateSums(Device& device);
  size_t votes_begin() const { return 2 * static_cast<size_t>(num_domains_); }
  // What the links of the world cost; a model without experts does not need to know.
  absl::StatusOr<ExchangeCosts> FindCosts();
  void CreateLogs();
  RouteCountOptions WhatToCount() const;
  // Reads sequences [range) of a batch that starts at sample `first` to the host. Collective: an
  // error on one rank is an error on all.
  absl::Status Read(const SampleSource& source, const HomeOfSample& home, uint64_t first,
                    SequenceRange range, const comm::WaitPlace& place);
  // Brings `range` of the sequences `held` by the host to the device.
  MicroBatch Upload(SequenceRange held, SequenceRange range);
  // Adds the losses of those sequences to the sums by domain.
  void Collect(SequenceRange held, SequenceRange range);
  // See GradientSync::MarkComplete.
  absl::Status StartSync(int64_t first);
  absl::Status ReduceDomains(const comm::WaitPlace& place);
  void Describe(StepResult& result) const;
  void CastVote(StopReason vote);
  StopReason CountVotes() const;
  EvaluationResult DescribeEvaluation() const;

  TrainOptions options_;
  const int num_domains_;
  comm::Communicator& world_;
  BatchLayout layout_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Workspace> scratch_;
  std::unique_ptr<Workspace> activations_;
  Context context_;
  PhaseTimers timers_;

  ParameterRegistry parameters_;
  std::unique_ptr<Mesh> mesh_;
  std::unique_ptr<ExpertExchange> exchange_;
  comm::Topology topology_;  // of the world
  comm::LinkModel links_;    // likewise
  std::unique_ptr<ExchangeLog> exchange_log_;
  std::unique_ptr<Transformer> model_;
  std::unique_ptr<GradientSync> sync_;
  std::unique_ptr<ShardedOptimizer> optimizer_;
  std::unique_ptr<RouterStatistics> statistics_;
  std::optional<DomainLoads> domain_loads_;  // of the evaluation under way
  std::optional<RouteCounts> route_counts_;
  std::string stray_warning_;

  int64_t last_step_ = 0;  // the last one that was begun
  // Of the micro-batch under way.
  Tensor tokens_;                    // I32 [max T]
  Tensor targets_;                   // I32 [max T]
  Tensor domains_;                   // I32 [max T]
  Tensor nodes_;                     // I32 [max T]
  Tensor losses_;                    // F64 [max T]
  std::vector<double> host_losses_;  // [max T]
  // Of the step, this rank's sequences.
  std::vector<int32_t> host_tokens_;
  std::vector<int32_t> host_targets_;
  std::vector<int32_t> host_domains_;
  std::vector<int32_t> host_nodes_;
  std::vector<int> sequence_domain_;
  std::vector<int32_t> sample_;  // [S + 1], the one being read
  // Of the step: F64 [2 * num_domains + 2 + those of the exchange log and the route counts], sums
  // of cross entropy, then numbers of tokens, then the ranks that vote to stop for time and on
  // request.
  Tensor domain_sums_;
  std::vector<double> host_domain_sums_;
};

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_TRAIN_STEP_H_
