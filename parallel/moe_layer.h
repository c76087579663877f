#ifndef EQUIPOISE_PARALLEL_MOE_LAYER_H_
#define EQUIPOISE_PARALLEL_MOE_LAYER_H_

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/nn/expert_bank.h"
#include "core/nn/feed_forward.h"
#include "core/nn/parameter.h"
#include "parallel/expert_exchange.h"
#include "parallel/micro_batch.h"
#include "parallel/model_options.h"
#include "routing/router.h"

namespace equipoise::parallel {

// The Mixture-of-Experts half of a transformer layer with its residual connection:
// h_out = h + sum over the token's experts of gate * expert(n) + shared(n), n = RmsNorm(h).
// Collective over the expert group. One per layer and rank; registry and exchange outlive it.
class MoeLayer {
 public:
  // `layer` is the position in the model, `index` the position among the MoE layers. Declares
  // parameters under `prefix` ("model.layers.3.").
  static absl::StatusOr<std::unique_ptr<MoeLayer>> Create(const ModelOptions& options, int layer,
                                                          int index, const std::string& prefix,
                                                          ExpertExchange& exchange, int expert_rank,
                                                          ParameterRegistry& parameters);

  // What Backward reads; views into context.activations.
  struct Saved {
    ConstTensorView input;         // [T, H], the caller's
    TensorView norm, inverse_rms;  // [T, H], [T]
    routing::RouterOutput routed;
    ExchangePlan exchange;
    ExpertBank::Saved experts;  // rows at this rank's experts
    TensorView returned;        // what the exchange keeps of the experts' outputs
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

  const routing::Router& router() const { return *router_; }
  routing::Router& router() { return *router_; }
  int layer() const { return layer_; }

 private:
  MoeLayer(const ModelOptions& options, int layer, int index, ExpertExchange& exchange)
      : options_(options), layer_(layer), index_(index), exchange_(exchange) {}

  absl::Status Route(const StepContext& context, const MicroBatch& batch, ConstTensorView h,
                     Saved& saved);
  // Adds what the experts make of it to h_out.
  absl::Status RunExperts(const StepContext& context, const MicroBatch& batch, Saved& saved,
                          TensorView h_out);
  // The gradient of `norm` that comes back through the experts; fills dgates.
  absl::Status BackwardExperts(const StepContext& context, const Saved& saved, ConstTensorView dh,
                               TensorView dgates, TensorView dnorm);
  routing::RouterInput InputOf(const MicroBatch& batch, const Saved& saved) const;

  const ModelOptions options_;
  const int layer_;
  const int index_;
  ExpertExchange& exchange_;
  Parameter* norm_ = nullptr;
  std::unique_ptr<routing::Router> router_;
  std::optional<ExpertBank> experts_;
  std::optional<FeedForward> shared_;
};

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_MOE_LAYER_H_
