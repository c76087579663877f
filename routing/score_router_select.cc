// The parts of ScoreRouter that choose.

#include <algorithm>

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

void ScoreRouter::SelectSequences(const Context& context, const RouterInput& input,
                                  const ScoreTile& largest, TensorView noisy,
                                  TensorView expert_ids) const {
  if (parts_.sequence == nullptr) return;
  const int64_t length = input.sequence_length;
  WorkspaceFrame frame(*context.scratch);
  const TensorView logits =
      context.scratch->Allocate(input.x.dtype(), {length, options_.num_experts});
  for (int64_t first = 0; first < input.x.dim(0); first += length) {
    for (int64_t row = 0; row < length; row += kTileTokens) {
      const int64_t end = std::min(row + kTileTokens, length);
      ScoreTile tile = FirstRows(largest, end - row);
      tile.logits = logits.Rows(row, end);
      ComputeLogits(context, TileOfX(context, input, first + row, first + end, noisy), tile);
    }
    selector_.AddLocality(context, RowsOrAbsent(input.nodes, first, first + length), logits);
    parts_.sequence->Select(context,
                            {input.training, logits, input.token_ids.Rows(first, first + length)},
                            expert_ids.Rows(first, first + length));
  }
}

void ScoreRouter::SelectByQuota(const Context& context, const RouterInput& input,
                                const RouterOutput& output, const ScoreTile& largest,
                                TensorView noisy) const {
  const LocalityQuota& quota = selector_.quota();
  if (!quota.enabled()) return;
  const int64_t length = input.sequence_length;
  WorkspaceFrame frame(*context.scratch);
  const HomeChoice home = {context.scratch->Allocate(DType::kI32, {length, options_.top_k}),
                           context.scratch->Allocate(input.x.dtype(), {length})};
  const auto sums = SelectorSums(output.partials.cpu<double>());
  for (int64_t first = 0; first < input.x.dim(0); first += length) {
    for (int64_t begin = 0; begin < length; begin += kTileTokens) {
      const int64_t end = std::min(begin + kTileTokens, length);
      ScoreTile tile = FirstRows(largest, end - begin);
      tile.latent.moments = SavedMoments(output, first + begin, first + end);
      ComputeLogits(context, TileOfX(context, input, first + begin, first + end, noisy), tile);
      ComputeScores(context, tile);
      const HomeChoice part = {home.ids.Rows(begin, end), home.keys.Rows(begin, end)};
      selector_.Select(context, tile, LabelsOf(input, first + begin, first + end),
                       output.expert_ids.Rows(first + begin, first + end), sums, &part);
    }
    quota.Apply(context, home, output.expert_ids.Rows(first, first + length));
  }
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
