#ifndef EQUIPOISE_PARALLEL_TRANSFORMER_H_
#define EQUIPOISE_PARALLEL_TRANSFORMER_H_

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/nn/attention_block.h"
#include "core/nn/parameter.h"
#include "parallel/dense_layer.h"
#include "parallel/expert_exchange.h"
#include "parallel/micro_batch.h"
#include "parallel/model_options.h"
#include "parallel/moe_layer.h"

namespace equipoise::parallel {

// The decoder-only language model of ModelOptions: embedding, L layers of attention and a
// feed-forward (dense or MoE), final norm, head with cross entropy. Parameters have the names of
// Hugging Face's Qwen3-MoE. Collective over the expert group.
//
// One per rank; belongs to one thread; exchange and registry outlive it.
class Transformer {
 public:
  // Declares all parameters. `expert_rank`: this rank's position among the owners of experts.
  static absl::StatusOr<std::unique_ptr<Transformer>> Create(const ModelOptions& options,
                                                             bool recompute,
                                                             ExpertExchange& exchange,
                                                             int expert_rank,
                                                             ParameterRegistry& parameters);

  // Told after the backward pass of each piece of the model, last layer first: every parameter
  // declared at or after position `first` has its gradient of this micro-batch.
  using OnComplete = std::function<absl::Status(int64_t first)>;

  // Forward and backward: adds the gradient of
  //   sum_t cross entropy_t / batch_tokens + auxiliary losses
  // to the parameters' gradients. losses F64 [T] receives the cross entropies in nats.
  absl::Status ForwardBackward(const StepContext& context, const MicroBatch& batch,
                               int64_t batch_tokens, TensorView losses,
                               const OnComplete& on_complete);

  // The cross entropies alone. Collective as above; records nothing.
  absl::Status Evaluate(const StepContext& context, const MicroBatch& batch, TensorView losses);

  // Routers of the MoE layers, first layer first, and those layers' positions in the model.
  std::vector<const routing::Router*> routers() const;
  std::vector<int> moe_layers() const;
  // The MoE layer `index` (its position among the MoE layers).
  MoeLayer& moe_layer(int index);

 private:
  struct Layer {
    std::unique_ptr<AttentionBlock> attention;
    std::unique_ptr<MoeLayer> moe;  // one of the two
    std::unique_ptr<DenseLayer> dense;
    int64_t first_parameter = 0;
  };
  struct LayerSaved {
    AttentionBlock::Saved attention;
    MoeLayer::Saved moe;
    DenseLayer::Saved dense;
  };
  Transformer(const ModelOptions& options, bool recompute)
      : options_(options), recompute_(recompute) {}

  absl::Status AddLayer(int index, ExpertExchange& exchange, int expert_rank,
                        ParameterRegistry& parameters);
  absl::StatusOr<LayerSaved> ForwardLayer(const StepContext& context, const MicroBatch& batch,
                                          Layer& layer, ConstTensorView h, TensorView h_out);
  absl::Status BackwardLayer(const StepContext& context, const MicroBatch& batch, Layer& layer,
                             const LayerSaved& saved, TensorView dh);
  // The layer once more from its input, then backward.
  absl::Status RecomputeAndBackwardLayer(const StepContext& context, const MicroBatch& batch,
                                         Layer& layer, ConstTensorView h, TensorView dh);
  absl::Status BackwardLayers(const StepContext& context, const MicroBatch& batch, TensorView dh,
                              const OnComplete& on_complete);
  Parameter* head() const { return head_ != nullptr ? head_ : embedding_; }

  const ModelOptions options_;
  const bool recompute_;
  Parameter* embedding_ = nullptr;
  std::vector<Layer> layers_;
  Parameter* final_norm_ = nullptr;
  Parameter* head_ = nullptr;  // null when tied
  int64_t first_head_parameter_ = 0;
  // Of the micro-batch under way; kept here so that a step allocates nothing.
  std::vector<TensorView> inputs_;
  std::vector<LayerSaved> saved_;
};

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_TRANSFORMER_H_
