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

// This rank's tokens of a chunk.
TokenRange RangeOf(const MoeLayer::Saved& saved, size_t chunk) {
  return ChunkOfTokens(saved.norm.dim(0), static_cast<int>(chunk),
                       static_cast<int>(saved.chunks.size()));
}

// A router's view of a range of tokens.
routing::RouterInput RowsOf(routing::RouterInput input, TokenRange range) {
  input.x = input.x.Rows(range.begin, range.end);
  input.token_ids = input.token_ids.Rows(range.begin, range.end);
  for (ConstTensorView* optional : {&input.domains, &input.nodes}) {
    if (!optional->absent()) *optional = optional->Rows(range.begin, range.end);
  }
  input.first_token += range.begin;
  return input;
}

routing::RouterOutput RowsOf(routing::RouterOutput output, TokenRange range) {
  for (TensorView* rows : {&output.expert_ids, &output.gates, &output.saved}) {
    *rows = rows->Rows(range.begin, range.end);
  }
  return output;
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
      context.route_counts->Record(device, index_, saved.routed.expert_ids, saved.routed.gates,
                                   batch.nodes, batch.sequence_length);
    }
  }
  if (context.domain_loads != nullptr) {
    context.domain_loads->Record(device, index_, saved.routed.expert_ids, batch.domains);
  }
  return absl::OkStatus();
}

absl::Status MoeLayer::PlanChunks(const StepContext& context, const MicroBatch& batch,
                                  Saved& saved) {
  const ScopedPhase phase(context.timers, Phase::kDispatch);
  const Context& device = context.device;
  const comm::WaitPlace place = batch.place.OfLayer(layer_);
  EQ_ASSIGN_OR_RETURN(const ExchangeCounts counts,
                      exchange_.Count(device, saved.routed.expert_ids, place));
  EQ_ASSIGN_OR_RETURN(std::vector<ExchangePlan> plans,
                      exchange_.Plan(device, *device.activations, counts, saved.routed.expert_ids,
                                     saved.routed.gates, place));
  const ExchangeForecast forecast =
      exchange_.Forecast(counts, plans[0], saved.routed.expert_ids, saved.routed.gates);
  if (context.exchange_log != nullptr) context.exchange_log->Record(index_, counts, forecast);
  exchange_.BeginForward(forecast);
  for (ExchangePlan& plan : plans) saved.chunks.emplace_back().plan = std::move(plan);
  return absl::OkStatus();
}

absl::StatusOr<PendingRows> MoeLayer::StartDispatch(const StepContext& context,
                                                    const MicroBatch& batch, const Saved& saved,
                                                    size_t chunk) {
  const ScopedPhase phase(context.timers, Phase::kDispatch);
  const Context& device = context.device;
  const TokenRange range = RangeOf(saved, chunk);
  ExpertExchange::InputTerm term;
  if (router_->adds_to_expert_input()) {
    term = [&](ConstTensorView tokens, TensorView copies) {
      router_->AddToExpertInput(device, RowsOf(InputOf(batch, saved), range),
                                RowsOf(saved.routed, range), tokens, copies);
    };
  }
  return exchange_.Dispatch(device, *device.activations, saved.chunks[chunk].plan,
                            saved.norm.Rows(range.begin, range.end), term);
}

absl::Status MoeLayer::RunExperts(const StepContext& context, const MicroBatch& batch, Saved& saved,
                                  TensorView h_out) {
  Context device = context.device;
  device.progress = &exchange_.queue();
  const WorkspaceFrame frame(*device.scratch);
  EQ_RETURN_IF_ERROR(PlanChunks(context, batch, saved));
  EQ_ASSIGN_OR_RETURN(PendingRows next, StartDispatch(context, batch, saved, 0));
  if (shared_) {
    const ScopedPhase phase(context.timers, Phase::kExperts);
    const comm::TransferQueue::Computation computation(exchange_.queue());
    saved.shared = shared_->Forward(device, saved.norm, h_out);
  }
  std::vector<PendingRows> returning;
  for (size_t i = 0; i < saved.chunks.size(); ++i) {
    Chunk& chunk = saved.chunks[i];
    PendingRows arriving = next;
    if (i + 1 < saved.chunks.size()) {
      EQ_ASSIGN_OR_RETURN(next, StartDispatch(context, batch, saved, i + 1));
    }
    TensorView rows;
    {
      const ScopedPhase phase(context.timers, Phase::kDispatch);
      EQ_ASSIGN_OR_RETURN(rows, arriving.Wait());
    }
    const TensorView outputs = device.activations->Allocate(rows.dtype(), rows.shape());
    {
      const ScopedPhase phase(context.timers, Phase::kExperts);
      const comm::TransferQueue::Computation computation(exchange_.queue());
      chunk.experts = experts_->Forward(device, rows, chunk.plan.offsets, outputs);
    }
    const ScopedPhase phase(context.timers, Phase::kCombine);
    const TokenRange range = RangeOf(saved, i);
    EQ_ASSIGN_OR_RETURN(const PendingRows home,
                        exchange_.Combine(device, *device.activations, chunk.plan, outputs,
                                          h_out.Rows(range.begin, range.end)));
    returning.push_back(home);
  }
  const ScopedPhase phase(context.timers, Phase::kCombine);
  for (size_t i = 0; i < saved.chunks.size(); ++i) {
    EQ_ASSIGN_OR_RETURN(saved.chunks[i].returned, returning[i].Wait());
  }
  EQ_ASSIGN_OR_RETURN(const comm::TransferTimes times, exchange_.EndForward());
  RecordTimes(context, times);
  return absl::OkStatus();
}

absl::Status MoeLayer::BackwardExperts(const StepContext& context, const Saved& saved,
                                       ConstTensorView dh, const Gradients& gradients) {
  Context device = context.device;
  device.progress = &exchange_.queue();
  const auto start = [&](size_t i) {
    const ScopedPhase phase(context.timers, Phase::kCombine);
    const TokenRange range = RangeOf(saved, i);
    return exchange_.CombineBackward(device, saved.chunks[i].plan, saved.chunks[i].returned,
                                     dh.Rows(range.begin, range.end),
                                     gradients.gates.Rows(range.begin, range.end));
  };
  EQ_ASSIGN_OR_RETURN(PendingRows next, start(0));
  if (shared_) {
    const ScopedPhase phase(context.timers, Phase::kExperts);
    const comm::TransferQueue::Computation computation(exchange_.queue());
    shared_->Backward(device, saved.shared, dh, gradients.shared, /*accumulate_dx=*/false);
  }
  for (size_t i = 0; i < saved.chunks.size(); ++i) {
    const Chunk& chunk = saved.chunks[i];
    PendingRows arriving = next;
    if (i + 1 < saved.chunks.size()) {
      EQ_ASSIGN_OR_RETURN(next, start(i + 1));
    }
    TensorView doutputs;
    {
      const ScopedPhase phase(context.timers, Phase::kCombine);
      EQ_ASSIGN_OR_RETURN(doutputs, arriving.Wait());
    }
    const TensorView drows = device.scratch->Allocate(dh.dtype(), chunk.experts.x.shape());
    {
      const ScopedPhase phase(context.timers, Phase::kExperts);
      const comm::TransferQueue::Computation computation(exchange_.queue());
      experts_->Backward(device, chunk.experts, doutputs, drows);
    }
    const ScopedPhase phase(context.timers, Phase::kDispatch);
    const TokenRange range = RangeOf(saved, i);
    EQ_RETURN_IF_ERROR(exchange_
                           .DispatchBackward(device, chunk.plan, drows,
                                             gradients.experts.Rows(range.begin, range.end))
                           .status());
  }
  const ScopedPhase phase(context.timers, Phase::kDispatch);
  EQ_ASSIGN_OR_RETURN(const comm::TransferTimes times, exchange_.EndPass());
  RecordTimes(context, times);
  return absl::OkStatus();
}

void MoeLayer::RecordTimes(const StepContext& context, const comm::TransferTimes& times) {
  times_ += times;
  if (context.exchange_log != nullptr) context.exchange_log->RecordTimes(index_, times);
}

absl::Status MoeLayer::Backward(const StepContext& context, const MicroBatch& batch,
                                const Saved& saved, RouterStatistics& statistics, TensorView dh) {
  const Context& device = context.device;
  const WorkspaceFrame frame(*device.scratch);
  const TensorView dgates = device.scratch->Allocate(dh.dtype(), saved.routed.gates.shape());
  const TensorView dnorm = device.scratch->Allocate(dh.dtype(), dh.shape());
  // What comes through the experts, if something must be added to it.
  const bool apart = shared_.has_value() || router_->adds_to_expert_input();
  const TensorView dexperts = apart ? device.scratch->Allocate(dh.dtype(), dh.shape()) : dnorm;
  if (context.exchange_log != nullptr) context.exchange_log->StartClock(*context.timers);
  EQ_RETURN_IF_ERROR(BackwardExperts(context, saved, dh, {dgates, dnorm, dexperts}));
  if (context.exchange_log != nullptr) context.exchange_log->StopClock(*context.timers, index_);
  if (shared_) {
    Axpy(device, 1.0, dexperts, dnorm);
  } else if (apart) {
    Copy(device, dexperts, dnorm);
  }
  const ScopedPhase phase(context.timers, Phase::kRoute);
  EQ_ASSIGN_OR_RETURN(routing::RouterBackwardInput backward,
                      statistics.ForBackward(device, index_, batch.place.OfLayer(layer_)));
  backward.dgates = dgates;
  if (router_->adds_to_expert_input()) backward.dexpert_input = dexperts;
  router_->Backward(device, InputOf(batch, saved), saved.routed, backward, dnorm);
  RmsNormBackward(device, saved.input, norm_->value(), saved.inverse_rms, dnorm, dh,
                  /*accumulate_dx=*/true, norm_->gradient());
  return absl::OkStatus();
}

void MoeLayer::EndStep(const Context& context, std::span<const double> sums, int64_t tokens) {
  router_->EndStep(context, sums, tokens);
}

}  // namespace equipoise::parallel
