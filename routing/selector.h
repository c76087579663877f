#ifndef EQUIPOISE_ROUTING_SELECTOR_H_
#define EQUIPOISE_ROUTING_SELECTOR_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/base/rng.h"
#include "core/device/context.h"
#include "core/tensor/tensor_view.h"
#include "routing/group_limit.h"
#include "routing/locality_bias.h"
#include "routing/locality_quota.h"
#include "routing/router.h"
#include "routing/score_tile.h"
#include "routing/selection_bias.h"

namespace equipoise::routing {

// What experts are ranked by, before bias and groups.
enum class RankBy : uint8_t {
  kLogits,  // tell apart what rounding makes equal in the scores
  kScores,  // what a bias or a group's sum is a number of the same size as (DeepSeek)
  // Of a latent space: a bias then means the same whatever the temperature has become.
  kSimilarities,
};

enum class TieRule : uint8_t {
  kLowestId,
  // The first at or after an expert drawn from the token's vocabulary id: a token that no expert
  // suits better than another does not always go to the same ones.
  kTokenHash,
};

struct SelectionOptions {
  RankBy rank_by = RankBy::kLogits;
  SelectionBiasOptions bias;
  GroupLimitOptions groups;
  TieRule ties = TieRule::kLowestId;
};

// InvalidArgument, naming the router.
absl::Status CheckSelection(const SelectionOptions& options, const RouterOptions& router);

// What a tile's tokens are known by. Absent nodes: all of node 0.
struct TokenLabels {
  ConstTensorView token_ids;  // I32 [n]
  ConstTensorView nodes;      // I32 [n], home nodes
};

// Chooses K experts for each token: rank, add the biases, keep to the best groups, take the K best.
// It alone knows biases and groups: gates and losses take the scores themselves. Its state is that
// of the load's bias, then that of locality's. One router's; belongs to its thread.
class Selector {
 public:
  // REQUIRES: CheckSelection.
  Selector(const SelectionOptions& options, const RouterOptions& router);

  // Doubles of the router's sums that EndStep takes besides the counts.
  int64_t num_statistics() const { return bias_.num_statistics() + locality_.num_statistics(); }

  // The pieces of its sums, and of its state; `scores`: what Segment::meaning calls them.
  std::vector<Segment> sum_segments() const {
    return {{"bias_margins", bias_.num_statistics()}, {"home_copies", locality_.num_statistics()}};
  }
  std::vector<Segment> state_segments(const std::string& scores) const {
    const bool by_logits = options_.rank_by == RankBy::kLogits;
    const std::string unit = by_logits ? "LOGITS" : scores;
    return {{"bias", static_cast<int64_t>(bias_.state().size()), unit},
            {"home_bias", static_cast<int64_t>(locality_.state().size()),
             locality_.learns() ? unit + " LEARNED" : unit}};
  }

  // ids I32 [n, K] of a tile with scores. `sums` is this selector's segment. `home`: filled, unless
  // null, for the quota, which is applied by who has the whole sequence.
  void Select(const Context& context, const ScoreTile& tile, const TokenLabels& labels,
              TensorView ids, std::span<double> sums, const HomeChoice* home = nullptr) const;
  // The same for a router that makes its own ranking [n, E], which is overwritten.
  void Choose(const Context& context, TensorView ranking, const TokenLabels& labels, TensorView ids,
              std::span<double> sums, const HomeChoice* home = nullptr) const;
  const LocalityQuota& quota() const { return quota_; }
  // Locality's bias alone, for those who choose in another way: whether there is one, and adding
  // it.
  bool prefers_home() const { return locality_.enabled(); }
  // See LocalityBias.
  double MeanLead() const { return locality_.MeanLead(); }
  void AddLocality(const Context& context, ConstTensorView nodes, TensorView ranking) const {
    locality_.AddTo(context, nodes, ranking);
  }
  // Counts what was chosen in the end, ids I32 [T, K]; nodes I32 [T].
  void Count(ConstTensorView nodes, ConstTensorView ids, std::span<double> sums) const;

  std::span<const double> state() const { return state_; }
  absl::Status SetState(std::span<const double> state);
  // A step's reduced counts [E] and segment (host values).
  void EndStep(std::span<const double> counts, std::span<const double> sums, int64_t tokens);

 private:
  void KeepState();
  void SelectByHash(const Context& context, ConstTensorView ranking, ConstTensorView token_ids,
                    TensorView ids) const;

  const SelectionOptions options_;
  const Philox draws_;
  SelectionBias bias_;
  LocalityBias locality_;
  const LocalityQuota quota_;
  std::vector<double> state_;  // of both
};

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_SELECTOR_H_
