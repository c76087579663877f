#include "routing/score_router.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/base/check.h"
#include "core/ops/permute.h"
#include "routing/losses/balance.h"
#include "routing/losses/locality.h"
#include "routing/losses/z_loss.h"
#include "routing/scores.h"

namespace equipoise::routing {

ScoreRouter::ScoreRouter(const RouterOptions& options, ScoreRouterParts parts)
    : options_(options),
      parts_(std::move(parts)),
      layout_{options.num_experts},
      jitter_(parts_.jitter, options),
      selector_(parts_.selection, options),
      limit_(options, std::move(parts_.angles)),
      latent_(parts_.latent != nullptr ? parts_.latent->shape() : LatentShape{}),
      num_statistics_(layout_.size()) {
  EQ_CHECK((parts_.logits != nullptr) != (parts_.latent != nullptr))
      << "logits come from one place";
  EQ_CHECK(parts_.sequence == nullptr || (parts_.latent == nullptr && !selector_.quota().enabled()))
      << "a choice by sequence is of kept logits, and one alone";
  if (options.balance_loss.coefficient > 0.0) {
    AddLoss(MakeBalanceLoss(options.balance_loss, options.num_experts));
  }
  if (options.z_loss.coefficient > 0.0) AddLoss(MakeZLoss(options.z_loss));
  if (options.locality.loss.coefficient > 0.0 && options.locality.num_nodes > 1) {
    AddLoss(MakeLocalityLoss(options.locality, options.num_experts));
  }
  for (auto& loss : parts_.losses) AddLoss(std::move(loss));
  num_statistics_ += limit_.num_statistics() + selector_.num_statistics();
}

void ScoreRouter::AddLoss(std::unique_ptr<RouterLoss> loss) {
  PlacedLoss placed;
  placed.first_statistic = num_statistics_;
  placed.first_state = num_state_;
  num_statistics_ += loss->num_statistics();
  num_state_ += loss->num_state();
  needs_softmax_ = needs_softmax_ || loss->needs_softmax();
  placed.loss = std::move(loss);
  losses_.push_back(std::move(placed));
}

int64_t ScoreRouter::saved_per_token() const {
  return latent_.moments + (saves_ids() ? max_copies_per_token() : 0);
}

int64_t ScoreRouter::max_copies_per_token() const {
  return parts_.sequence != nullptr ? parts_.sequence->max_copies() : options_.top_k;
}

LossScope ScoreRouter::statistics_scope() const {
  for (const PlacedLoss& placed : losses_) {
    const LossScope scope = placed.loss->load_scope();
    if (scope != LossScope::kMicroBatch) return scope;
  }
  return LossScope::kMicroBatch;
}

void ScoreRouter::CheckShapes(const RouterInput& input, const RouterOutput& output) const {
  const int64_t num_tokens = input.x.dim(0);
  const Shape copies = {num_tokens, max_copies_per_token()};
  EQ_CHECK_EQ(input.x.dim(1), options_.hidden);
  EQ_CHECK(input.sequence_length > 0 && num_tokens % input.sequence_length == 0)
      << num_tokens << " tokens in sequences of " << input.sequence_length;
  EQ_CHECK_EQ(output.expert_ids.shape(), copies);
  EQ_CHECK_EQ(output.gates.shape(), copies);
  EQ_CHECK_EQ(output.partials.num_elements(), num_statistics_);
  EQ_CHECK(input.nodes.absent() || input.nodes.num_elements() == num_tokens)
      << input.nodes.num_elements() << " home nodes";
  if (saved_per_token() > 0) {
    EQ_CHECK_EQ(output.saved.shape(), (Shape{num_tokens, saved_per_token()}));
  }
}

void ScoreRouter::CheckBackwardShapes(const RouterInput& input, const RouterBackwardInput& backward,
                                      TensorView dx) const {
  EQ_CHECK_EQ(dx.shape(), input.x.shape());
  EQ_CHECK(losses_.empty() || input.x.dim(0) == 0 || backward.batch_tokens > 0)
      << "batch_tokens=" << backward.batch_tokens;
  EQ_CHECK(!adds_to_expert_input() || backward.dexpert_input.shape() == input.x.shape())
      << "dexpert_input " << backward.dexpert_input.shape();
}

MicroBatch ScoreRouter::BatchOf(const RouterInput& input, ConstTensorView selected) const {
  return {input.x.dim(0), input.sequence_length, selected,
          input.nodes,    input.first_token,     input.step};
}

StepStatistics ScoreRouter::StatisticsFrom(std::span<const double> sums, int64_t load_tokens,
                                           int64_t batch_tokens) const {
  StepStatistics statistics;
  statistics.batch_tokens = batch_tokens;
  if (sums.empty()) return statistics;
  EQ_CHECK_EQ(sums.size(), static_cast<size_t>(num_statistics_));
  statistics.load = layout_.Counts(sums);
  statistics.load_tokens = load_tokens;
  if (std::isnan(statistics.load[0])) statistics.load = {};
  return statistics;
}

StepStatistics ScoreRouter::ForLoss(const PlacedLoss& placed, StepStatistics statistics,
                                    std::span<const double> sums) const {
  if (!sums.empty()) statistics.sums = placed.Sums(sums);
  if (statistics.sums.empty() || !std::isnan(statistics.sums[0])) return statistics;
  // Of no step that had this loss.
  statistics.sums = {};
  statistics.load = {};
  return statistics;
}

ScoreTile ScoreRouter::PrepareTile(const Context& context, DType dtype) const {
  Workspace& workspace = *context.scratch;
  ScoreTile tile = AllocateScoreTile(workspace, dtype, parts_.score, kTileTokens,
                                     options_.num_experts, needs_softmax_);
  if (parts_.latent == nullptr) {
    tile.prepared = parts_.logits->Prepare(context);
    return tile;
  }
  parts_.latent->Prepare(context, tile);
  tile.latent.directions = workspace.Allocate(dtype, {kTileTokens, latent_.dimensions});
  tile.latent.inverse_norms = workspace.Allocate(dtype, {kTileTokens});
  tile.latent.similarities = tile.logits;
  if (latent_.scaled) {
    tile.latent.similarities = workspace.Allocate(dtype, tile.logits.shape());
  }
  return tile;
}

ScoreTileGradient ScoreRouter::AllocateGradient(Workspace& workspace, DType dtype) const {
  ScoreTileGradient gradient = AllocateScoreTileGradient(
      workspace, dtype, kTileTokens, options_.num_experts, max_copies_per_token());
  if (parts_.latent == nullptr) return gradient;
  gradient.latent.moments = workspace.Allocate(dtype, {kTileTokens, latent_.moments});
  gradient.latent.directions = workspace.Allocate(dtype, {kTileTokens, latent_.dimensions});
  gradient.latent.similarities = workspace.Allocate(dtype, gradient.logits.shape());
  return gradient;
}

TensorView ScoreRouter::SavedMoments(const RouterOutput& output, int64_t row, int64_t end) const {
  if (parts_.latent == nullptr) return {};
  return output.saved.Reshaped({output.saved.num_elements()})
      .Rows(row * latent_.moments, end * latent_.moments)
      .Reshaped({end - row, latent_.moments});
}

TensorView ScoreRouter::SavedIds(const RouterOutput& output) const {
  const int64_t all = output.saved.num_elements();
  return output.saved.Reshaped({all}).Rows(output.expert_ids.dim(0) * latent_.moments, all);
}

void ScoreRouter::ComputeLogits(const Context& context, ConstTensorView x,
                                const ScoreTile& tile) const {
  if (parts_.latent != nullptr) return parts_.latent->Forward(context, x, tile);
  parts_.logits->ForwardPrepared(context, x, tile.prepared, tile.logits);
}

void ScoreRouter::RestoreLogits(const Context& context, ConstTensorView x,
                                const ScoreTile& tile) const {
  if (parts_.latent != nullptr) return parts_.latent->Restore(context, tile);
  parts_.logits->ForwardPrepared(context, x, tile.prepared, tile.logits);
}

void ScoreRouter::SetZero(const Context& context, const ScoreTileGradient& gradient) const {
  const auto zero = [&](TensorView view) { context.device->Zero(view.raw(), view.num_bytes()); };
  zero(gradient.probabilities);
  zero(gradient.logits);
  if (parts_.latent == nullptr) return;
  zero(gradient.latent.moments);
  zero(gradient.latent.directions);
  zero(gradient.latent.similarities);
}

std::span<double> ScoreRouter::AllocateState(Workspace& workspace) const {
  const auto state = workspace.Allocate(DType::kF64, {num_state_}).cpu<double>();
  std::fill(state.begin(), state.end(), 0.0);
  return state;
}

void ScoreRouter::SaveIds(const RouterOutput& output) const {
  const auto ids = output.expert_ids.cpu<int32_t>();
  DispatchFloat(output.saved.dtype(), [&]<typename T>() {
    // Exact: expert ids are far below 2^24.
    std::copy(ids.begin(), ids.end(), SavedIds(output).cpu<T>().begin());
  });
}

ConstTensorView ScoreRouter::SelectedIds(const Context& context, const RouterOutput& output) const {
  if (!saves_ids()) return output.expert_ids;
  const TensorView selected = context.scratch->Allocate(DType::kI32, output.expert_ids.shape());
  DispatchFloat(output.saved.dtype(), [&]<typename T>() {
    const auto saved = SavedIds(output).cpu<T>();
    std::copy(saved.begin(), saved.end(), selected.cpu<int32_t>().begin());
  });
  return selected;
}

ConstTensorView ScoreRouter::TileOfX(const Context& context, const RouterInput& input, int64_t row,
                                     int64_t end, TensorView noisy) const {
  const ConstTensorView x = input.x.Rows(row, end);
  if (noisy.absent()) return x;
  jitter_.Multiply(context, input, row, x, /*accumulate=*/false, noisy.Rows(0, end - row));
  return noisy.Rows(0, end - row);
}

TensorView ScoreRouter::AllocateNoisy(Workspace& workspace, const RouterInput& input) const {
  if (!jitter_.active(input)) return {};
  return workspace.Allocate(input.x.dtype(), {kTileTokens, options_.hidden});
}

void ScoreRouter::LogitsBackward(const Context& context, ConstTensorView x, const ScoreTile& tile,
                                 const ScoreTileGradient& gradient, TensorView dx) const {
  if (parts_.latent != nullptr) return parts_.latent->Backward(context, x, tile, gradient, dx);
  parts_.logits->Backward(context, x, gradient.logits, dx);
}

void ScoreRouter::Forward(const Context& context, const RouterInput& input,
                          const RouterOutput& output) const {
  CheckShapes(input, output);
  const int64_t num_tokens = input.x.dim(0);
  const auto sums = output.partials.cpu<double>();
  std::fill(sums.begin(), sums.end(), 0.0);

  WorkspaceFrame frame(*context.scratch);
  const ForwardMemory memory = AllocateForward(context, input);
  const std::span<double> state = AllocateState(*context.scratch);
  const MicroBatch batch = BatchOf(input, output.expert_ids);
  for (int64_t row = 0, end = 0; row < num_tokens; row = end) {
    end = TileEnd(input, row);
    const ScoreTile tile = TileAt(memory, input, output, row, end);
    FillLogits(context, input, output, memory, tile);
    ComputeScores(context, tile);
    SelectTile(context, input, tile, output.expert_ids.Rows(row, end), sums);
    MeasureAngles(context, input, memory, tile);
    ComputeGates(context, parts_.gates, tile, output.gates.Rows(row, end));
    sums[static_cast<size_t>(layout_.entropy())] += SumOfEntropies(context, tile);
    for (const PlacedLoss& placed : losses_) {
      placed.loss->Accumulate(context, batch, tile, placed.State(state), placed.Sums(sums));
    }
  }
  CountCopies(output.expert_ids.cpu<int32_t>(), layout_.Counts(sums));
  selector_.Count(input.nodes, output.expert_ids, SelectorSums(sums));
  if (saves_ids()) SaveIds(output);
  sums[static_cast<size_t>(layout_.dropped())] += static_cast<double>(
      limit_.Apply(context, input.sequence_length, memory.limit, output, LimitSums(sums)));
}

void ScoreRouter::Backward(const Context& context, const RouterInput& input,
                           const RouterOutput& output, const RouterBackwardInput& backward,
                           TensorView dx) const {
  CheckShapes(input, output);
  const int64_t num_tokens = input.x.dim(0);
  CheckBackwardShapes(input, backward, dx);
  std::span<const double> sums;
  if (!backward.statistics.absent()) sums = backward.statistics.cpu<double>();
  const StepStatistics statistics =
      StatisticsFrom(sums, backward.statistics_tokens, backward.batch_tokens);

  WorkspaceFrame frame(*context.scratch);
  const DType dtype = input.x.dtype();
  const ScoreTile largest = PrepareTile(context, dtype);
  const ScoreTileGradient gradients = AllocateGradient(*context.scratch, dtype);
  const std::span<double> state = AllocateState(*context.scratch);
  const ConstTensorView selected = SelectedIds(context, output);
  const TensorView noisy = AllocateNoisy(*context.scratch, input);
  const TensorView dnoisy = AllocateNoisy(*context.scratch, input);
  const MicroBatch batch = BatchOf(input, selected);
  TensorView input_term_sums;
  if (adds_to_expert_input()) input_term_sums = parts_.expert_input->StartBackward(context);
  for (int64_t row = 0, end = 0; row < num_tokens; row = end) {
    end = TileEnd(input, row);
    ScoreTile tile = FirstRows(largest, end - row);
    const ScoreTileGradient gradient = FirstRows(gradients, end - row);
    tile.first_row = row;
    tile.selected = selected.Rows(row, end);
    tile.latent.moments = SavedMoments(output, row, end);
    const ConstTensorView x = TileOfX(context, input, row, end, noisy);
    RestoreLogits(context, x, tile);
    ComputeScores(context, tile);
    SetZero(context, gradient);
    for (const PlacedLoss& placed : losses_) {
      placed.loss->AddGradient(context, batch, tile, ForLoss(placed, statistics, sums),
                               placed.State(state), gradient);
    }
    if (adds_to_expert_input()) {
      parts_.expert_input->Backward(context, tile, backward.dexpert_input.Rows(row, end), gradient,
                                    input_term_sums);
    }
    GatesBackward(context, parts_.gates, tile, output.expert_ids.Rows(row, end),
                  backward.dgates.Rows(row, end), gradient);
    ScoresBackward(context, tile, gradient);
    if (noisy.absent()) {
      LogitsBackward(context, x, tile, gradient, dx.Rows(row, end));
      continue;
    }
    const TensorView dtile = dnoisy.Rows(0, end - row);
    context.device->Zero(dtile.raw(), dtile.num_bytes());
    LogitsBackward(context, x, tile, gradient, dtile);
    jitter_.Multiply(context, input, row, dtile, /*accumulate=*/true, dx.Rows(row, end));
  }
  if (adds_to_expert_input()) parts_.expert_input->FinishBackward(context, input_term_sums);
  for (const PlacedLoss& placed : losses_) {
    placed.loss->AddParameterGradient(context, num_tokens, ForLoss(placed, statistics, sums));
  }
}

void ScoreRouter::AddToExpertInput(const Context& context, const RouterInput& input,
                                   const RouterOutput& output, ConstTensorView source_rows,
                                   TensorView copies) const {
  EQ_CHECK(adds_to_expert_input());
  const int64_t num_tokens = input.x.dim(0);
  const DType dtype = input.x.dtype();
  const int64_t code_size = parts_.expert_input->code_size();
  WorkspaceFrame frame(*context.scratch);
  const TensorView codes = context.scratch->Allocate(dtype, {num_tokens, code_size});
  const ScoreTile largest = PrepareTile(context, dtype);
  for (int64_t row = 0, end = 0; row < num_tokens; row = end) {
    end = TileEnd(input, row);
    ScoreTile tile = FirstRows(largest, end - row);
    tile.latent.moments = SavedMoments(output, row, end);
    RestoreLogits(context, input.x.Rows(row, end), tile);
    ComputeScores(context, tile);
    parts_.expert_input->Encode(context, tile, codes.Rows(row, end));
  }
  const TensorView gathered = context.scratch->Allocate(dtype, {kTileTokens, code_size});
  for (int64_t row = 0; row < copies.dim(0); row += kTileTokens) {
    const int64_t end = std::min(row + kTileTokens, copies.dim(0));
    GatherRows(context, codes, source_rows.Rows(row, end), gathered.Rows(0, end - row));
    parts_.expert_input->AddTo(context, gathered.Rows(0, end - row), copies.Rows(row, end));
  }
}

std::vector<LossTerm> ScoreRouter::Losses(std::span<const double> sums, int64_t tokens,
                                          std::span<const double> load, int64_t load_tokens) const {
  EQ_CHECK_EQ(sums.size(), static_cast<size_t>(num_statistics_));
  const StepStatistics statistics = StatisticsFrom(load, load_tokens, tokens);
  std::vector<LossTerm> terms;
  for (const PlacedLoss& placed : losses_) {
    const double value =
        tokens > 0 ? placed.loss->Value(placed.Sums(sums), ForLoss(placed, statistics, load)) : 0.0;
    terms.push_back({placed.loss->name(), value});
  }
  return terms;
}

absl::Status ScoreRouter::SetState(std::span<const double> state) {
  return selector_.SetState(state);
}

void ScoreRouter::EndStep(const Context& context, std::span<const double> sums, int64_t tokens) {
  EQ_CHECK_EQ(sums.size(), static_cast<size_t>(num_statistics_));
  selector_.EndStep(layout_.Counts(sums), SelectorSums(sums), tokens);
  if (parts_.latent != nullptr) parts_.latent->EndStep(context);
}

}  // namespace equipoise::routing
