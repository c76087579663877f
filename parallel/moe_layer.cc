#include "parallel/moe_layer.h"

#include <utility>
#include <vector>

#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "core/nn/declare.h"
#include "core/ops/elementwise.h"
#include "core/ops/rms_norm.h"
#include "parallel/exchange_log.h"

namespace equipoise::parallel {
namespace {

std::string MoePrefix(TensorNames names) {
  return names == TensorNames::kMixtral ? "block_sparse_moe." : "mlp.";
}

ExpertTensorNames ExpertNames(TensorNames names) {
  if (names == TensorNames::kMixtral) return {.gate = "w1", .up = "w3", .down = "w2"};
  return {};
}

}  // namespace

absl::StatusOr<std::unique_ptr<MoeLayer>> MoeLayer::Create(const ModelOptions& options, int layer,
                                                           int index, const std::string& prefix,
                                                           ExpertExchange& exchange,
                                                           int expert_rank,
                                                           ParameterRegistry& parameters) {
  std::unique_ptr<MoeLayer> result(new MoeLayer(options, layer, index, exchange));
  result->norm_ =
      DeclareGain(parameters, prefix + "post_attention_layernorm.weight", options.hidden);

  const std::string mlp = prefix + MoePrefix(options.tensor_names);
  routing::RouterOptions router = options.moe.router;
  router.hidden = options.hidden;
  router.init_stddev = options.init_stddev;
  router.layer = layer;
  router.name_prefix = mlp;
  EQ_ASSIGN_OR_RETURN(result->router_, routing::MakeRouter(router, parameters));
  result->experts_.emplace(options.hidden, options.moe.expert_width, options.init_stddev,
                           exchange.placement().experts_of(expert_rank), mlp,
                           ExpertNames(options.tensor_names), parameters);
  if (options.moe.shared_expert_width > 0) {
    result->shared_.emplace(options.hidden, options.moe.shared_expert_width, options.init_stddev,
                            mlp + "shared_experts.", parameters);
  }
  return result;
}

routing::RouterInput MoeLayer::InputOf(const MicroBatch& batch, const Saved& saved) const {
  routing::RouterInput input;
  input.x = saved.norm;
  input.token_ids = batch.tokens;
  input.domains = batch.domains;
  input.nodes = batch.nodes;
  input.sequence_length = batch.sequence_length;
  input.first_token = batch.first_token;
  input.step = batch.step;
  input.training = batch.training;
  return input;
}

absl::StatusOr<MoeLayer::Saved> MoeLayer::Forward(const StepContext& context,
                                                  const MicroBatch& batch, ConstTensorView h,
                                                  TensorView h_out) {
  Saved saved;
  EQ_RETURN_IF_ERROR(Route(context, batch, h, saved));
  Copy(context.device, h, h_out);
  if (context.exchange_log != nullptr) context.exchange_log->StartClock(*context.timers);
  EQ_RETURN_IF_ERROR(RunExperts(context, batch, saved, h_out));
  if (context.exchange_log != nullptr) context.exchange_log->StopClock(*context.timers, index_);
  if (shared_) {
    const ScopedPhase phase(context.timers, Phase::kExperts);
    saved.shared = shared_->Forward(context.device, saved.norm, h_out);
  }
  return saved;
}

absl::Status MoeLayer::Route(const StepContext& context, const MicroBatch& batch, ConstTensorView h,
                             Saved& saved) {
  const ScopedPhase phase(context.timers, Phase::kRoute);
  const Context& device = context.device;
  Workspace& space = *device.activations;
  const int64_t tokens = h.dim(0);
  const int64_t copies = router_->max_copies_per_token();

  saved.input = h;
  saved.norm = space.Allocate(h.dtype(), h.shape());
  saved.inverse_rms = space.Allocate(h.dtype(), {tokens});
  RmsNormForward(device, h, norm_->value(), options_.norm_epsilon, saved.norm, saved.inverse_rms);

  saved.routed.expert_ids = space.Allocate(DType::kI32, {tokens, copies});
  saved.routed.gates = space.Allocate(h.dtype(), {tokens, copies});
  saved.routed.saved = space.Allocate(h.dtype(), {tokens, router_->saved_per_token()});
  saved.routed.partials = space.Allocate(DType::kF64, {router_->num_statistics()});
  router_->Forward(device, InputOf(batch, saved), saved.routed);
  if (context.statistics != nullptr) {
    EQ_RETURN_IF_ERROR(context.statistics->Record(device, index_, saved.routed.partials,
                                                  batch.place.OfLayer(layer_)));
    if (context.route_counts != nullptr) {
      context.route_counts->Record(device, index_, saved.routed.expert_ids, batch.nodes,
                                   batch.sequence_length);
    }
  }
  if (context.domain_loads != nullptr) {
    context.domain_loads->Record(device, index_, saved.routed.expert_ids, batch.domains);
  }
  return absl::OkStatus();
}

absl::Status MoeLayer::RunExperts(const StepContext& context, const MicroBatch& batch, Saved& saved,
                                  TensorView h_out) {
  const Context& device = context.device;
  Workspace& space = *device.activations;
  TensorView rows;
  {
    const ScopedPhase phase(context.timers, Phase::kDispatch);
    const comm::WaitPlace place = batch.place.OfLayer(layer_);
    EQ_ASSIGN_OR_RETURN(const ExchangeCounts counts,
                        exchange_.Count(device, saved.routed.expert_ids, /*num_chunks=*/1, place));
    EQ_ASSIGN_OR_RETURN(
        std::vector<ExchangePlan> plans,
        exchange_.Plan(device, space, counts, saved.routed.expert_ids, saved.routed.gates, place));
    saved.exchange = std::move(plans[0]);
    ExpertExchange::InputTerm term;
    if (router_->adds_to_expert_input()) {
      term = [&](ConstTensorView tokens, TensorView copies) {
        router_->AddToExpertInput(device, InputOf(batch, saved), saved.routed, tokens, copies);
      };
    }
    if (context.exchange_log != nullptr) {
      context.exchange_log->Record(index_, counts, exchange_.AlgorithmOf(saved.exchange),
                                   saved.routed.expert_ids, saved.routed.gates);
    }
    EQ_ASSIGN_OR_RETURN(rows, exchange_.Dispatch(device, space, saved.exchange, saved.norm, term));
  }
  const TensorView outputs = space.Allocate(rows.dtype(), rows.shape());
  {
    const ScopedPhase phase(context.timers, Phase::kExperts);
    saved.experts = experts_->Forward(device, rows, saved.exchange.offsets, outputs);
  }
  const ScopedPhase phase(context.timers, Phase::kCombine);
  EQ_ASSIGN_OR_RETURN(saved.returned,
                      exchange_.Combine(device, space, saved.exchange, outputs, h_out));
  return absl::OkStatus();
}

absl::Status MoeLayer::BackwardExperts(const StepContext& context, const Saved& saved,
                                       ConstTensorView dh, TensorView dgates, TensorView dnorm) {
  const Context& device = context.device;
  TensorView doutputs;
  {
    const ScopedPhase phase(context.timers, Phase::kCombine);
    EQ_ASSIGN_OR_RETURN(
        doutputs, exchange_.CombineBackward(device, saved.exchange, saved.returned, dh, dgates));
  }
  const TensorView drows = device.scratch->Allocate(dh.dtype(), saved.experts.x.shape());
  {
    const ScopedPhase phase(context.timers, Phase::kExperts);
    experts_->Backward(device, saved.experts, doutputs, drows);
  }
  const ScopedPhase phase(context.timers, Phase::kDispatch);
  return exchange_.DispatchBackward(device, saved.exchange, drows, dnorm);
}

absl::Status MoeLayer::Backward(const StepContext& context, const MicroBatch& batch,
                                const Saved& saved, RouterStatistics& statistics, TensorView dh) {
  const Context& device = context.device;
  const WorkspaceFrame frame(*device.scratch);
  const TensorView dgates = device.scratch->Allocate(dh.dtype(), saved.routed.gates.shape());
  const TensorView dnorm = device.scratch->Allocate(dh.dtype(), dh.shape());
  if (context.exchange_log != nullptr) context.exchange_log->StartClock(*context.timers);
  EQ_RETURN_IF_ERROR(BackwardExperts(context, saved, dh, dgates, dnorm));
  if (context.exchange_log != nullptr) context.exchange_log->StopClock(*context.timers, index_);
  TensorView dexpert_input;
  if (router_->adds_to_expert_input()) {
    dexpert_input = device.scratch->Allocate(dh.dtype(), dh.shape());
    Copy(device, dnorm, dexpert_input);
  }
  if (shared_) {
    const ScopedPhase phase(context.timers, Phase::kExperts);
    shared_->Backward(device, saved.shared, dh, dnorm, /*accumulate_dx=*/true);
  }
  const ScopedPhase phase(context.timers, Phase::kRoute);
  EQ_ASSIGN_OR_RETURN(routing::RouterBackwardInput backward,
                      statistics.ForBackward(device, index_, batch.place.OfLayer(layer_)));
  backward.dgates = dgates;
  backward.dexpert_input = dexpert_input;
  router_->Backward(device, InputOf(batch, saved), saved.routed, backward, dnorm);
  RmsNormBackward(device, saved.input, norm_->value(), saved.inverse_rms, dnorm, dh,
                  /*accumulate_dx=*/true, norm_->gradient());
  return absl::OkStatus();
}

void MoeLayer::EndStep(const Context& context, std::span<const double> sums, int64_t tokens) {
  router_->EndStep(context, sums, tokens);
}

}  // namespace equipoise::parallel
