#include "parallel/transformer.h"

#include <string>
#include <utility>

#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "core/nn/declare.h"
#include "core/ops/cross_entropy.h"
#include "core/ops/embedding.h"
#include "core/ops/rms_norm.h"

namespace equipoise::parallel {
namespace {

AttentionOptions AttentionOf(const ModelOptions& options) {
  AttentionOptions attention;
  attention.hidden = options.hidden;
  attention.num_heads = options.num_heads;
  attention.num_kv_heads = options.num_kv_heads;
  attention.head_dim = options.head_dim;
  attention.qk_norm = options.qk_norm;
  attention.rope_theta = options.rope_theta;
  attention.norm_epsilon = options.norm_epsilon;
  attention.init_stddev = options.init_stddev;
  return attention;
}

int64_t NumDeclared(const ParameterRegistry& parameters) {
  return static_cast<int64_t>(parameters.parameters().size());
}

}  // namespace

absl::StatusOr<std::unique_ptr<Transformer>> Transformer::Create(const ModelOptions& options,
                                                                 bool recompute,
                                                                 ExpertExchange& exchange,
                                                                 int expert_rank,
                                                                 ParameterRegistry& parameters) {
  std::unique_ptr<Transformer> model(new Transformer(options, recompute));
  const double stddev = options.init_stddev;
  model->embedding_ = DeclareMatrix(parameters, "model.embed_tokens.weight", options.vocabulary,
                                    options.hidden, stddev);
  for (int index = 0; index < options.num_layers; ++index) {
    EQ_RETURN_IF_ERROR(model->AddLayer(index, exchange, expert_rank, parameters));
  }
  model->first_head_parameter_ = NumDeclared(parameters);
  model->final_norm_ = DeclareGain(parameters, "model.norm.weight", options.hidden);
  if (!options.tied_embeddings) {
    model->head_ =
        DeclareMatrix(parameters, "lm_head.weight", options.vocabulary, options.hidden, stddev);
  }
  model->inputs_.resize(model->layers_.size());
  model->saved_.resize(model->layers_.size());
  return model;
}

absl::Status Transformer::AddLayer(int index, ExpertExchange& exchange, int expert_rank,
                                   ParameterRegistry& parameters) {
  const std::string prefix = "model.layers." + std::to_string(index) + ".";
  Layer layer;
  layer.first_parameter = NumDeclared(parameters);
  layer.attention = std::make_unique<AttentionBlock>(AttentionOf(options_), prefix, parameters);
  if (index < options_.num_dense_layers) {
    layer.dense = std::make_unique<DenseLayer>(options_, prefix, parameters);
  } else {
    EQ_ASSIGN_OR_RETURN(layer.moe,
                        MoeLayer::Create(options_, index, index - options_.num_dense_layers, prefix,
                                         exchange, expert_rank, parameters));
  }
  layers_.push_back(std::move(layer));
  return absl::OkStatus();
}

absl::StatusOr<Transformer::LayerSaved> Transformer::ForwardLayer(const StepContext& context,
                                                                  const MicroBatch& batch,
                                                                  Layer& layer, ConstTensorView h,
                                                                  TensorView h_out) {
  LayerSaved saved;
  const TensorView middle = context.device.activations->Allocate(h.dtype(), h.shape());
  {
    const ScopedPhase phase(context.timers, Phase::kAttention);
    saved.attention = layer.attention->Forward(context.device, batch.sequence_length, h, middle);
  }
  if (layer.moe != nullptr) {
    EQ_ASSIGN_OR_RETURN(saved.moe, layer.moe->Forward(context, batch, middle, h_out));
  } else {
    const ScopedPhase phase(context.timers, Phase::kExperts);
    saved.dense = layer.dense->Forward(context.device, middle, h_out);
  }
  return saved;
}

absl::Status Transformer::BackwardLayer(const StepContext& context, const MicroBatch& batch,
                                        Layer& layer, const LayerSaved& saved, TensorView dh) {
  if (layer.moe != nullptr) {
    EQ_RETURN_IF_ERROR(layer.moe->Backward(context, batch, saved.moe, *context.statistics, dh));
  } else {
    const ScopedPhase phase(context.timers, Phase::kExperts);
    layer.dense->Backward(context.device, saved.dense, dh);
  }
  const ScopedPhase phase(context.timers, Phase::kAttention);
  layer.attention->Backward(context.device, batch.sequence_length, saved.attention, dh);
  return absl::OkStatus();
}

absl::Status Transformer::RecomputeAndBackwardLayer(const StepContext& context,
                                                    const MicroBatch& batch, Layer& layer,
                                                    ConstTensorView h, TensorView dh) {
  const WorkspaceFrame frame(*context.device.activations);
  StepContext again = context;
  again.statistics = nullptr;
  again.exchange_log = nullptr;
  const TensorView h_out = context.device.activations->Allocate(h.dtype(), h.shape());
  EQ_ASSIGN_OR_RETURN(const LayerSaved saved, ForwardLayer(again, batch, layer, h, h_out));
  return BackwardLayer(context, batch, layer, saved, dh);
}

absl::Status Transformer::ForwardBackward(const StepContext& context, const MicroBatch& batch,
                                          int64_t batch_tokens, TensorView losses,
                                          const OnComplete& on_complete) {
  EQ_CHECK(context.statistics != nullptr);
  const Context& device = context.device;
  const WorkspaceFrame activations(*device.activations);
  const WorkspaceFrame scratch(*device.scratch);
  const int64_t tokens = batch.tokens.dim(0);
  const Shape shape = {tokens, options_.hidden};

  TensorView h = device.activations->Allocate(options_.dtype, shape);
  EmbeddingForward(device, batch.tokens, embedding_->value(), h);
  for (size_t i = 0; i < layers_.size(); ++i) {
    inputs_[i] = h;
    h = device.activations->Allocate(options_.dtype, shape);
    const size_t mark = device.activations->mark();
    EQ_ASSIGN_OR_RETURN(saved_[i], ForwardLayer(context, batch, layers_[i], inputs_[i], h));
    if (recompute_) device.activations->Release(mark);
  }

  const TensorView norm = device.activations->Allocate(options_.dtype, shape);
  const TensorView inverse_rms = device.activations->Allocate(options_.dtype, {tokens});
  const TensorView dnorm = device.scratch->Allocate(options_.dtype, shape);
  const TensorView dh = device.scratch->Allocate(options_.dtype, shape);
  RmsNormForward(device, h, final_norm_->value(), options_.norm_epsilon, norm, inverse_rms);
  CrossEntropyOptions loss;
  loss.gradient_scale = 1.0 / static_cast<double>(batch_tokens);
  CrossEntropy(device, loss, norm, head()->value(), batch.targets, losses, dnorm,
               head()->gradient());
  RmsNormBackward(device, h, final_norm_->value(), inverse_rms, dnorm, dh,
                  /*accumulate_dx=*/false, final_norm_->gradient());
  if (on_complete) EQ_RETURN_IF_ERROR(on_complete(first_head_parameter_));
  EQ_RETURN_IF_ERROR(BackwardLayers(context, batch, dh, on_complete));
  EmbeddingBackward(device, batch.tokens, dh, embedding_->gradient());
  return on_complete ? on_complete(0) : absl::OkStatus();
}

absl::Status Transformer::BackwardLayers(const StepContext& context, const MicroBatch& batch,
                                         TensorView dh, const OnComplete& on_complete) {
  for (size_t i = layers_.size(); i-- > 0;) {
    if (recompute_) {
      EQ_RETURN_IF_ERROR(RecomputeAndBackwardLayer(context, batch, layers_[i], inputs_[i], dh));
    } else {
      EQ_RETURN_IF_ERROR(BackwardLayer(context, batch, layers_[i], saved_[i], dh));
    }
    if (on_complete) EQ_RETURN_IF_ERROR(on_complete(layers_[i].first_parameter));
  }
  return absl::OkStatus();
}

absl::Status Transformer::Evaluate(const StepContext& context, const MicroBatch& batch,
                                   TensorView losses) {
  const Context& device = context.device;
  const WorkspaceFrame activations(*device.activations);
  StepContext silent = context;
  silent.statistics = nullptr;
  silent.exchange_log = nullptr;
  const int64_t tokens = batch.tokens.dim(0);
  const Shape shape = {tokens, options_.hidden};

  TensorView h = device.activations->Allocate(options_.dtype, shape);
  TensorView h_out = device.activations->Allocate(options_.dtype, shape);
  EmbeddingForward(device, batch.tokens, embedding_->value(), h);
  for (Layer& layer : layers_) {
    const WorkspaceFrame frame(*device.activations);
    EQ_RETURN_IF_ERROR(ForwardLayer(silent, batch, layer, h, h_out).status());
    std::swap(h, h_out);
  }
  const TensorView inverse_rms = device.activations->Allocate(options_.dtype, {tokens});
  RmsNormForward(device, h, final_norm_->value(), options_.norm_epsilon, h_out, inverse_rms);
  CrossEntropy(device, CrossEntropyOptions(), h_out, head()->value(), batch.targets, losses,
               TensorView(), TensorView());
  return absl::OkStatus();
}

std::vector<const routing::Router*> Transformer::routers() const {
  std::vector<const routing::Router*> routers;
  for (const Layer& layer : layers_) {
    if (layer.moe != nullptr) routers.push_back(&layer.moe->router());
  }
  return routers;
}

MoeLayer& Transformer::moe_layer(int index) {
  return *layers_[static_cast<size_t>(options_.num_dense_layers + index)].moe;
}

std::vector<int> Transformer::moe_layers() const {
  std::vector<int> positions;
  for (const Layer& layer : layers_) {
    if (layer.moe != nullptr) positions.push_back(layer.moe->layer());
  }
  return positions;
}

}  // namespace equipoise::parallel
