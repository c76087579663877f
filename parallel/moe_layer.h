#ifndef EQUIPOISE_PARALLEL_MOE_LAYER_H_
#define EQUIPOISE_PARALLEL_MOE_LAYER_H_

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "comm/exchange/transfer.h"
#include "core/nn/expert_bank.h"
#include "core/nn/feed_forward.h"
#include "core/nn/parameter.h"
#include "parallel/expert_exchange.h"
#include "parallel/micro_batch.h"
#include "parallel/model_options.h"
#include "routing/router.h"

namespace equipoise::parallel {

// The Mixture-of-Experts half of a transformer layer with its residual connection:
// h_out = h + shared(n) + sum over the token's experts of gate * expert(n), n = RmsNorm(h).
//
// Tokens pass the experts in chunks (ExpertExchange::num_chunks). While one is computed, the next
// is on its way to its experts and the last one on its way home; the shared expert computes while
// the first one travels. In the backward pass likewise.
// Collective over the expert group. One per layer and rank; registry and exchange outlive it.
class MoeLayer {
 public:
  // `layer` is the position in the model, `index` the position among the MoE layers. Declares
  // parameters under `prefix` ("model.layers.3.").
  static absl::StatusOr<std::unique_ptr<MoeLayer>> Create(const ModelOptions& options, int layer,
                                                          int index, const std::string& prefix,
                                                          ExpertExchange& exchange, int expert_rank,
                                                          ParameterRegistry& parameters);

  // A chunk of this rank's tokens on their way through the experts.
  struct Chunk {
    ExchangePlan plan;
    ExpertBank::Saved experts;  // rows at this rank's experts
    TensorView returned;        // what the exchange keeps of the experts' outputs
  };

  // What Backward reads; views into context.activations.
  struct Saved {
    ConstTensorView input;         // [T, H], the caller's
    TensorView norm, inverse_rms;  // [T, H], [T]
    routing::RouterOutput routed;
    std::vector<Chunk> chunks;
    FeedForward::Saved shared;
  };

  // h, h_out [T, H]; h must live until Backward.
  absl::StatusOr<Saved> Forward(const StepContext& context, const MicroBatch& batch,
                                ConstTensorView h, TensorView h_out);
  // dh [T, H] holds the gradient of h_out and receives that of h. Adds to parameters' gradients.
  // `statistics` must be those that recorded the forward pass.
  absl::Status Backward(const StepContext& context, const MicroBatch& batch, const Saved& saved,
                        RouterStatistics& statistics, TensorView dh);

  // After the parameters' update, with the router's reduced sums of the step.
  void EndStep(const Context& context, std::span<const double> sums, int64_t tokens);

  // Of this layer's transfers since the last call, forward and backward.
  comm::TransferTimes TakeTransferTimes() { return std::exchange(times_, {}); }

  const routing::Router& router() const { return *router_; }
  routing::Router& router() { return *router_; }
  int layer() const { return layer_; }

 private:
  MoeLayer(const ModelOptions& options, int layer, int index, ExpertExchange& exchange)
      : options_(options), layer_(layer), index_(index), exchange_(exchange) {}

  absl::Status Route(const StepContext& context, const MicroBatch& batch, ConstTensorView h,
                     Saved& saved);
  absl::Status PlanChunks(const StepContext& context, const MicroBatch& batch, Saved& saved);
  absl::StatusOr<PendingRows> StartDispatch(const StepContext& context, const MicroBatch& batch,
                                            const Saved& saved, size_t chunk);
  // Adds what the shared expert and the others make of it to h_out.
  absl::Status RunExperts(const StepContext& context, const MicroBatch& batch, Saved& saved,
                          TensorView h_out);
  // Gradients on their way back through the experts, all [T, ...] and overwritten. `shared` and
  // `experts` are of `norm`; `shared` is `experts` if there is no shared expert.
  struct Gradients {
    TensorView gates, shared, experts;
  };
  absl::Status BackwardExperts(const StepContext& context, const Saved& saved, ConstTensorView dh,
                               const Gradients& gradients);
  // Of a pass that has ended, for telemetry.
  void RecordTimes(const StepContext& context, const comm::TransferTimes& times);
  routing::RouterInput InputOf(const MicroBatch& batch, const Saved& saved) const;

  const ModelOptions options_;
  const int layer_;
  const int index_;
  ExpertExchange& exchange_;
  Parameter* norm_ = nullptr;
  std::unique_ptr<routing::Router> router_;
  std::optional<ExpertBank> experts_;
  std::optional<FeedForward> shared_;
  comm::TransferTimes times_;
};

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_MOE_LAYER_H_
