#include "routing/selector.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "routing/cpu/score_rows.h"
#include "routing/cpu/top_k_rows.h"
#include "routing/option_problem.h"
#include "routing/selection.h"

namespace equipoise::routing {
namespace {

TensorView RankedView(RankBy rank_by, const ScoreTile& tile) {
  switch (rank_by) {
    case RankBy::kLogits:
      return tile.logits;
    case RankBy::kScores:
      return tile.probabilities;
    case RankBy::kSimilarities:
      return tile.latent.similarities;
  }
  EQ_CHECK(false) << "rank by " << static_cast<int>(rank_by);
  return {};
}

// What a tile's experts are ranked by, into ranking [n, E].
void Rank(RankBy rank_by, const ScoreTile& tile, TensorView ranking) {
  DispatchFloat(ranking.dtype(), [&]<typename T>() {
    const auto out = ranking.cpu<T>();
    const auto from = RankedView(rank_by, tile).cpu<T>();
    std::copy(from.begin(), from.end(), out.begin());
    if (rank_by != RankBy::kScores) return;
    T* row = out.data();
    for (const T normalizer : tile.normalizers.cpu<T>()) {
      cpu::ScaleRow(normalizer, tile.num_experts(), row);
      row += tile.num_experts();
    }
  });
}

// Names the settings as the router has them: in the shared piece's message, or its own.
absl::Status InPiece(const char* piece, const Settings& settings, const absl::Status& status) {
  const auto rename = [&](std::string& option) {
    if (settings.Has(piece + option)) option = piece + option;
  };
  std::vector<absl::Status> errors;
  for (OptionProblem& problem : OptionProblemsOf(status)) {
    rename(problem.subject);
    for (std::string& other : problem.others) rename(other);
    errors.push_back(OptionError(std::move(problem)));
  }
  return JoinErrors("", errors);
}

}  // namespace

absl::Status CheckSelection(const SelectionOptions& options, const RouterOptions& router) {
  return JoinErrors(absl::StrCat("router ", router.kind),
                    {InPiece("bias.", router.settings, CheckSelectionBias(options.bias)),
                     InPiece("groups.", router.settings,
                             CheckGroupLimit(options.groups, router.num_experts, router.top_k))});
}

Selector::Selector(const SelectionOptions& options, const RouterOptions& router)
    : options_(options),
      draws_(StreamKey(router.seed, absl::StrCat("router.ties.", router.layer))),
      bias_(options.bias, router.num_experts, router.top_k),
      locality_(router.locality, router.num_experts),
      quota_(router.locality, router.num_experts) {
  KeepState();
}

void Selector::KeepState() {
  const auto first = bias_.state();
  const auto second = locality_.state();
  state_.assign(first.begin(), first.end());
  state_.insert(state_.end(), second.begin(), second.end());
}

absl::Status Selector::SetState(std::span<const double> state) {
  const size_t experts = bias_.state().size();
  const size_t nodes = locality_.state().size();
  if (state.size() != experts + nodes) {
    return absl::InvalidArgumentError(absl::StrCat("a router with biases of ", experts,
                                                   " experts and ", nodes, " nodes is given ",
                                                   state.size(), " values of state"));
  }
  EQ_RETURN_IF_ERROR(bias_.SetState(state.first(experts)));
  locality_.SetState(state.last(nodes));
  KeepState();
  return absl::OkStatus();
}

void Selector::Count(ConstTensorView nodes, ConstTensorView ids, std::span<double> sums) const {
  locality_.Count(nodes, ids, sums.last(static_cast<size_t>(locality_.num_statistics())));
}

void Selector::EndStep(std::span<const double> counts, std::span<const double> sums,
                       int64_t tokens) {
  const auto margins = static_cast<size_t>(bias_.num_statistics());
  bias_.EndStep(counts, sums.first(margins), tokens);
  locality_.EndStep(sums.subspan(margins));
  KeepState();
}

void Selector::Select(const Context& context, const ScoreTile& tile, const TokenLabels& labels,
                      TensorView ids, std::span<double> sums, const HomeChoice* home) const {
  const bool plain = options_.rank_by == RankBy::kLogits && !bias_.enabled() &&
                     !locality_.enabled() && home == nullptr && !options_.groups.enabled() &&
                     options_.ties == TieRule::kLowestId;
  if (plain) return SelectTopK(context, tile.logits, ids);
  WorkspaceFrame frame(*context.scratch);
  const TensorView ranking = context.scratch->Allocate(tile.logits.dtype(), tile.logits.shape());
  Rank(options_.rank_by, tile, ranking);
  Choose(context, ranking, labels, ids, sums, home);
}

void Selector::Choose(const Context& context, TensorView ranking, const TokenLabels& labels,
                      TensorView ids, std::span<double> sums, const HomeChoice* home) const {
  bias_.AddTo(context, ranking);
  locality_.AddTo(context, labels.nodes, ranking);
  // Before the groups: an expert whose group is out of reach for all would have no margin to go by.
  bias_.Accumulate(context, ranking, sums.first(static_cast<size_t>(bias_.num_statistics())));
  LimitGroups(context, options_.groups, ranking);
  if (options_.ties == TieRule::kTokenHash) {
    SelectByHash(context, ranking, labels.token_ids, ids);
  } else {
    SelectTopK(context, ranking, ids);
  }
  if (home != nullptr) quota_.FindHome(ranking, labels.nodes, ids, *home);
}

void Selector::SelectByHash(const Context& context, ConstTensorView ranking,
                            ConstTensorView token_ids, TensorView ids) const {
  const int64_t experts = ranking.dim(1);
  const int64_t top_k = ids.dim(1);
  const auto tokens = token_ids.cpu<int32_t>();
  int32_t* chosen = ids.cpu<int32_t>().data();
  EQ_CHECK_EQ(token_ids.num_elements(), ranking.dim(0));
  WorkspaceFrame frame(*context.scratch);
  const TensorView scratch = context.scratch->Allocate(ranking.dtype(), {experts});
  DispatchFloat(ranking.dtype(), [&]<typename T>() {
    const T* row = ranking.cpu<T>().data();
    const auto rotated = scratch.cpu<T>();
    for (const int32_t token : tokens) {
      const auto first = static_cast<int64_t>(
          draws_.Below(static_cast<uint64_t>(experts), static_cast<uint32_t>(token)));
      std::rotate_copy(row, row + first, row + experts, rotated.begin());
      cpu::TopKRow<T>(rotated.data(), experts, top_k, chosen);
      for (int64_t k = 0; k < top_k; ++k) {
        chosen[k] = static_cast<int32_t>((chosen[k] + first) % experts);
      }
      row += experts;
      chosen += top_k;
    }
  });
}

}  // namespace equipoise::routing
