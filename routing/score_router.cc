#include "routing/score_router.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "routing/capacity.h"
#include "routing/losses/balance.h"
#include "routing/losses/z_loss.h"
#include "routing/scores.h"
#include "routing/selection.h"

namespace equipoise::routing {
namespace {

void SetZero(const Context& context, TensorView view) {
  context.device->Zero(view.raw(), view.num_bytes());
}

}  // namespace

ScoreRouter::ScoreRouter(const RouterOptions& options, ScoreRouterParts parts)
    : options_(options),
      parts_(std::move(parts)),
      layout_{options.num_experts},
      num_statistics_(layout_.size()) {
  if (options.balance_loss.coefficient > 0.0) {
    AddLoss(MakeBalanceLoss(options.balance_loss, options.num_experts, options.top_k));
  }
  if (options.z_loss.coefficient > 0.0) AddLoss(MakeZLoss(options.z_loss));
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

int64_t ScoreRouter::saved_per_token() const { return saves_ids() ? options_.top_k : 0; }

LossScope ScoreRouter::statistics_scope() const {
  for (const PlacedLoss& placed : losses_) {
    const LossScope scope = placed.loss->load_scope();
    if (scope != LossScope::kMicroBatch) return scope;
  }
  return LossScope::kMicroBatch;
}

void ScoreRouter::CheckShapes(const RouterInput& input, const RouterOutput& output) const {
  const int64_t num_tokens = input.x.dim(0);
  const Shape copies = {num_tokens, options_.top_k};
  EQ_CHECK_EQ(input.x.dim(1), options_.hidden);
  EQ_CHECK(input.sequence_length > 0 && num_tokens % input.sequence_length == 0)
      << num_tokens << " tokens in sequences of " << input.sequence_length;
  EQ_CHECK_EQ(output.expert_ids.shape(), copies);
  EQ_CHECK_EQ(output.gates.shape(), copies);
  EQ_CHECK_EQ(output.partials.num_elements(), num_statistics_);
  if (saves_ids()) EQ_CHECK_EQ(output.saved.shape(), copies);
}

ScoreTile ScoreRouter::AllocateTile(Workspace& workspace, DType dtype) const {
  return AllocateScoreTile(workspace, dtype, parts_.score, kTileTokens, options_.num_experts,
                           needs_softmax_);
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
    std::copy(ids.begin(), ids.end(), output.saved.cpu<T>().begin());
  });
}

ConstTensorView ScoreRouter::SelectedIds(const Context& context, const RouterOutput& output) const {
  if (!saves_ids()) return output.expert_ids;
  const TensorView selected = context.scratch->Allocate(DType::kI32, output.expert_ids.shape());
  DispatchFloat(output.saved.dtype(), [&]<typename T>() {
    const auto saved = output.saved.cpu<T>();
    std::copy(saved.begin(), saved.end(), selected.cpu<int32_t>().begin());
  });
  return selected;
}

void ScoreRouter::Forward(const Context& context, const RouterInput& input,
                          const RouterOutput& output) const {
  CheckShapes(input, output);
  const int64_t num_tokens = input.x.dim(0);
  const auto sums = output.partials.cpu<double>();
  std::fill(sums.begin(), sums.end(), 0.0);

  WorkspaceFrame frame(*context.scratch);
  const ScoreTile largest = AllocateTile(*context.scratch, input.x.dtype());
  const std::span<double> state = AllocateState(*context.scratch);
  const MicroBatch batch = {num_tokens, input.sequence_length, output.expert_ids};
  for (int64_t row = 0; row < num_tokens; row += kTileTokens) {
    const int64_t end = std::min(row + kTileTokens, num_tokens);
    ScoreTile tile = FirstRows(largest, end - row);
    const TensorView ids = output.expert_ids.Rows(row, end);
    tile.first_row = row;
    tile.selected = ids;
    parts_.logits->Forward(context, input.x.Rows(row, end), tile.logits);
    ComputeScores(context, tile);
    SelectTopK(context, tile.logits, ids);
    ComputeGates(context, parts_.gates, tile, output.gates.Rows(row, end));
    sums[static_cast<size_t>(layout_.entropy())] += SumOfEntropies(context, tile);
    for (const PlacedLoss& placed : losses_) {
      placed.loss->Accumulate(context, batch, tile, placed.State(state), placed.Sums(sums));
    }
  }
  CountCopies(output.expert_ids.cpu<int32_t>(), layout_.Counts(sums));
  if (saves_ids()) SaveIds(output);
  sums[static_cast<size_t>(layout_.dropped())] =
      static_cast<double>(ApplyCapacity(context, options_.capacity, input.sequence_length,
                                        options_.num_experts, output.expert_ids, output.gates));
}

void ScoreRouter::Backward(const Context& context, const RouterInput& input,
                           const RouterOutput& output, const RouterBackwardInput& backward,
                           TensorView dx) const {
  CheckShapes(input, output);
  const int64_t num_tokens = input.x.dim(0);
  EQ_CHECK_EQ(dx.shape(), input.x.shape());
  EQ_CHECK(losses_.empty() || num_tokens == 0 || backward.batch_tokens > 0)
      << "batch_tokens=" << backward.batch_tokens;
  StepStatistics statistics;
  statistics.batch_tokens = backward.batch_tokens;
  if (!backward.statistics.absent()) {
    EQ_CHECK_EQ(backward.statistics.num_elements(), num_statistics_);
    statistics.load = layout_.Counts(backward.statistics.cpu<double>());
    statistics.load_tokens = backward.statistics_tokens;
  }

  WorkspaceFrame frame(*context.scratch);
  const DType dtype = input.x.dtype();
  const ScoreTile largest = AllocateTile(*context.scratch, dtype);
  const ScoreTileGradient gradients = AllocateScoreTileGradient(
      *context.scratch, dtype, kTileTokens, options_.num_experts, options_.top_k);
  const std::span<double> state = AllocateState(*context.scratch);
  const ConstTensorView selected = SelectedIds(context, output);
  const MicroBatch batch = {num_tokens, input.sequence_length, selected};
  for (int64_t row = 0; row < num_tokens; row += kTileTokens) {
    const int64_t end = std::min(row + kTileTokens, num_tokens);
    ScoreTile tile = FirstRows(largest, end - row);
    const ScoreTileGradient gradient = FirstRows(gradients, end - row);
    tile.first_row = row;
    tile.selected = selected.Rows(row, end);
    parts_.logits->Forward(context, input.x.Rows(row, end), tile.logits);
    ComputeScores(context, tile);
    SetZero(context, gradient.probabilities);
    SetZero(context, gradient.logits);
    for (const PlacedLoss& placed : losses_) {
      placed.loss->AddGradient(context, batch, tile, statistics, placed.State(state), gradient);
    }
    GatesBackward(context, parts_.gates, tile, output.expert_ids.Rows(row, end),
                  backward.dgates.Rows(row, end), gradient);
    ScoresBackward(context, tile, gradient);
    parts_.logits->Backward(context, input.x.Rows(row, end), gradient.logits, dx.Rows(row, end));
  }
}

std::vector<LossTerm> ScoreRouter::Losses(std::span<const double> sums, int64_t tokens,
                                          std::span<const double> load, int64_t load_tokens) const {
  EQ_CHECK_EQ(sums.size(), static_cast<size_t>(num_statistics_));
  EQ_CHECK(load.empty() || load.size() == sums.size()) << load.size() << " sums of load";
  StepStatistics statistics;
  statistics.batch_tokens = tokens;
  if (!load.empty()) {
    statistics.load = layout_.Counts(load);
    statistics.load_tokens = load_tokens;
  }
  std::vector<LossTerm> terms;
  for (const PlacedLoss& placed : losses_) {
    const double value = tokens > 0 ? placed.loss->Value(placed.Sums(sums), statistics) : 0.0;
    terms.push_back({placed.loss->name(), value});
  }
  return terms;
}

}  // namespace equipoise::routing
