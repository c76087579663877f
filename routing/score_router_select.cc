// The parts of ScoreRouter's forward pass that read x and choose.

#include <algorithm>

#include "core/tensor/dtype.h"
#include "routing/score_router.h"
#include "routing/scores.h"

namespace equipoise::routing {
namespace {

ConstTensorView RowsOrAbsent(ConstTensorView view, int64_t begin, int64_t end) {
  return view.absent() ? view : view.Rows(begin, end);
}

TokenLabels LabelsOf(const RouterInput& input, int64_t begin, int64_t end) {
  return {input.token_ids.Rows(begin, end), RowsOrAbsent(input.nodes, begin, end)};
}

}  // namespace

int64_t ScoreRouter::BlockRows(const RouterInput& input) const {
  if (!chooses_by_sequence()) return kTileTokens;
  return std::max(input.sequence_length,
                  kTileTokens / input.sequence_length * input.sequence_length);
}

int64_t ScoreRouter::BlockEnd(const RouterInput& input, int64_t row) const {
  const int64_t rows = BlockRows(input);
  return std::min((row / rows + 1) * rows, input.x.dim(0));
}

int64_t ScoreRouter::TileEnd(const RouterInput& input, int64_t row) const {
  return std::min(row + kTileTokens, BlockEnd(input, row));
}

ScoreRouter::ForwardMemory ScoreRouter::AllocateForward(const Context& context,
                                                        const RouterInput& input) const {
  const DType dtype = input.x.dtype();
  ForwardMemory memory;
  memory.largest = PrepareTile(context, dtype);
  memory.noisy = AllocateNoisy(*context.scratch, input);
  if (chooses_by_sequence() && parts_.latent == nullptr) {
    const int64_t rows = std::min(BlockRows(input), input.x.dim(0));
    memory.block_logits = context.scratch->Allocate(dtype, {rows, options_.num_experts});
  }
  memory.limit = limit_.Begin(context, input, kTileTokens, max_copies_per_token());
  return memory;
}

ScoreTile ScoreRouter::TileAt(const ForwardMemory& memory, const RouterInput& input,
                              const RouterOutput& output, int64_t row, int64_t end) const {
  ScoreTile tile = FirstRows(memory.largest, end - row);
  tile.first_row = row;
  tile.selected = output.expert_ids.Rows(row, end);
  tile.latent.moments = SavedMoments(output, row, end);
  if (!memory.block_logits.absent()) {
    const int64_t place = row % BlockRows(input);
    tile.logits = memory.block_logits.Rows(place, place + end - row);
  }
  return tile;
}

void ScoreRouter::FillLogits(const Context& context, const RouterInput& input,
                             const RouterOutput& output, const ForwardMemory& memory,
                             const ScoreTile& tile) const {
  const int64_t row = tile.first_row;
  if (!chooses_by_sequence()) {
    const int64_t end = row + tile.num_rows();
    return ComputeLogits(context, TileOfX(context, input, row, end, memory.noisy), tile);
  }
  if (row % BlockRows(input) == 0) ChooseBlock(context, input, output, memory, row);
  // Logits of a latent space come back from the moments, which are saved; others were kept.
  if (parts_.latent != nullptr) parts_.latent->Restore(context, tile);
}

void ScoreRouter::ChooseBlock(const Context& context, const RouterInput& input,
                              const RouterOutput& output, const ForwardMemory& memory,
                              int64_t row) const {
  const int64_t block_end = BlockEnd(input, row);
  const int64_t length = input.sequence_length;
  const LocalityQuota& quota = selector_.quota();
  const auto sums = SelectorSums(output.partials.cpu<double>());
  WorkspaceFrame frame(*context.scratch);
  HomeChoice home;
  if (quota.enabled()) {
    home = {context.scratch->Allocate(DType::kI32, {block_end - row, options_.top_k}),
            context.scratch->Allocate(input.x.dtype(), {block_end - row})};
  }
  for (int64_t begin = row; begin < block_end;) {
    const int64_t end = TileEnd(input, begin);
    const ScoreTile tile = TileAt(memory, input, output, begin, end);
    ComputeLogits(context, TileOfX(context, input, begin, end, memory.noisy), tile);
    if (quota.enabled()) {
      ComputeScores(context, tile);
      const HomeChoice part = home.Rows(begin - row, end - row);
      selector_.Select(context, tile, LabelsOf(input, begin, end),
                       output.expert_ids.Rows(begin, end), sums, &part);
    }
    begin = end;
  }
  for (int64_t first = row; first < block_end; first += length) {
    const TensorView ids = output.expert_ids.Rows(first, first + length);
    const int64_t place = first - row;
    if (quota.enabled()) {
      quota.Apply(context, home.Rows(place, place + length), ids);
    } else {
      SequenceReport report;
      report.refused = output.partials.cpu<double>().first(static_cast<size_t>(layout_.entropy()));
      ChooseSequence(context, input, first, memory.block_logits.Rows(place, place + length), report,
                     ids);
      limit_.AddReport(first / length, report, memory.limit);
    }
  }
}

void ScoreRouter::ChooseSequence(const Context& context, const RouterInput& input, int64_t first,
                                 TensorView logits, SequenceReport& report,
                                 TensorView expert_ids) const {
  const int64_t end = first + input.sequence_length;
  WorkspaceFrame frame(*context.scratch);
  TensorView ranking = logits;
  if (selector_.prefers_home()) {
    // Gates and losses take the logits themselves.
    ranking = context.scratch->Allocate(logits.dtype(), logits.shape());
    DispatchFloat(logits.dtype(), [&]<typename T>() {
      std::ranges::copy(logits.cpu<T>(), ranking.cpu<T>().begin());
    });
    selector_.AddLocality(context, RowsOrAbsent(input.nodes, first, end), ranking);
  }
  parts_.sequence->Select(
      context, {input.training, ranking, input.token_ids.Rows(first, end), logits, &report},
      expert_ids);
}

void ScoreRouter::MeasureAngles(const Context& context, const RouterInput& input,
                                const ForwardMemory& memory, const ScoreTile& tile) const {
  if (!limit_.reads_tiles()) return;
  const int64_t end = tile.first_row + tile.num_rows();
  ConstTensorView x = input.x.Rows(tile.first_row, end);
  if (!memory.noisy.absent()) {
    // Where a block was read at once, its last tile's noise is there.
    x = chooses_by_sequence() ? TileOfX(context, input, tile.first_row, end, memory.noisy)
                              : memory.noisy.Rows(0, tile.num_rows());
  }
  limit_.AddTile(context, x, tile, input.sequence_length, memory.limit);
}

void ScoreRouter::SelectTile(const Context& context, const RouterInput& input,
                             const ScoreTile& tile, TensorView ids, std::span<double> sums) const {
  if (parts_.sequence != nullptr) return;
  if (!selector_.quota().enabled()) {
    const int64_t first = tile.first_row;
    selector_.Select(context, tile, LabelsOf(input, first, first + tile.num_rows()), ids,
                     SelectorSums(sums));
  }
  if (parts_.trimmer != nullptr) parts_.trimmer->Trim(context, tile, ids);
}

}  // namespace equipoise::routing
