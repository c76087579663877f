#ifndef EQUIPOISE_ROUTING_SCORE_ROUTER_H_
#define EQUIPOISE_ROUTING_SCORE_ROUTER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "routing/angles.h"
#include "routing/capacity_limit.h"
#include "routing/copy_trimmer.h"
#include "routing/gates.h"
#include "routing/jitter.h"
#include "routing/latent_scorer.h"
#include "routing/logits.h"
#include "routing/losses/router_loss.h"
#include "routing/router.h"
#include "routing/score_tile.h"
#include "routing/selector.h"
#include "routing/sequence_selector.h"
#include "routing/statistics.h"

namespace equipoise::routing {

// What makes one score-based router differ from another.
struct ScoreRouterParts {
  // One of these two.
  std::unique_ptr<LogitSource> logits;
  std::unique_ptr<LatentScorer> latent;
  std::string similarity = {};  // of `latent`, as in the settings
  ScoreFunction score = ScoreFunction::kSoftmax;
  GateRule gates;
  SelectionOptions selection;
  std::unique_ptr<CopyTrimmer> trimmer;        // or none: every token keeps its K experts
  std::unique_ptr<SequenceSelector> sequence;  // or none; chooses instead of `selection`
  double jitter = 0.0;                         // amplitude, in [0, 1); see InputJitter
  RouteAngleOptions angles = {};
  // Losses besides those of RouterOptions.
  std::vector<std::unique_ptr<RouterLoss>> losses;
  std::unique_ptr<ExpertInputTerm> expert_input;  // or none
};

// A router in which every token scores all experts and takes the K best, by itself: logits ->
// scores -> top K -> gates, and every loss's sums, in one pass over x, a tile of tokens at a time.
// The backward pass makes each tile again (bit for bit) instead of saving it, so that what it costs
// in memory is E * kTileTokens numbers, whatever T is; S * E more where a choice looks at whole
// sequences of S. Routers are this class with their parts, not subclasses of it.
class ScoreRouter final : public Router {
 public:
  // Takes the losses and the capacity from `options`, which MakeRouter has checked.
  ScoreRouter(const RouterOptions& options, ScoreRouterParts parts);

  const std::string& kind() const override { return options_.kind; }
  int64_t max_copies_per_token() const override;
  int64_t num_statistics() const override { return num_statistics_; }
  std::vector<Segment> sum_segments() const override;
  int64_t saved_per_token() const override;
  LossScope statistics_scope() const override;

  void Forward(const Context& context, const RouterInput& input,
               const RouterOutput& output) const override;
  void Backward(const Context& context, const RouterInput& input, const RouterOutput& output,
                const RouterBackwardInput& backward, TensorView dx) const override;
  bool adds_to_expert_input() const override { return parts_.expert_input != nullptr; }
  void AddToExpertInput(const Context& context, const RouterInput& input,
                        const RouterOutput& output, ConstTensorView source_rows,
                        TensorView copies) const override;
  std::vector<LossTerm> Losses(std::span<const double> sums, int64_t tokens,
                               std::span<const double> load, int64_t load_tokens) const override;
  RouterFigures Figures(std::span<const double> sums) const override;
  bool has_capacity_floor() const override {
    return limit_.clamps() || (parts_.sequence != nullptr && parts_.sequence->has_capacity_floor());
  }
  std::span<const double> state() const override { return selector_.state(); }
  std::vector<Segment> state_segments() const override;
  absl::Status SetState(std::span<const double> state) override;
  void EndStep(const Context& context, std::span<const double> sums, int64_t tokens) override;

  // Tokens of a tile: enough rows for the matrix product, few enough for the cache.
  static constexpr int64_t kTileTokens = 128;

 private:
  // A loss, and where its sums and its state begin.
  struct PlacedLoss {
    std::unique_ptr<RouterLoss> loss;
    int64_t first_statistic = 0;
    int64_t first_state = 0;

    template <typename T>
    std::span<T> Sums(std::span<T> all) const {
      return all.subspan(static_cast<size_t>(first_statistic),
                         static_cast<size_t>(loss->num_statistics()));
    }
    std::span<double> State(std::span<double> all) const {
      return all.subspan(static_cast<size_t>(first_state), static_cast<size_t>(loss->num_state()));
    }
  };

  void AddLoss(std::unique_ptr<RouterLoss> loss);
  // Segment::meaning of what is counted of scores.
  std::string ScoresMeaning() const;
  // Dropped copies lose their id, which the backward pass needs: it is saved.
  bool saves_ids() const { return options_.capacity.factor > 0.0; }
  // Whether a token's experts depend on the other tokens of its sequence.
  bool chooses_by_sequence() const {
    return parts_.sequence != nullptr || selector_.quota().enabled();
  }
  // Tokens that are chosen for together: those of a tile, or of as many whole sequences as fit into
  // one, at least one. Blocks follow each other from the first row; tiles are cut within blocks.
  int64_t BlockRows(const RouterInput& input) const;
  int64_t BlockEnd(const RouterInput& input, int64_t row) const;
  int64_t TileEnd(const RouterInput& input, int64_t row) const;
  // Memory of a forward pass, in context.scratch.
  struct ForwardMemory {
    ScoreTile largest;
    TensorView noisy;
    // [min(BlockRows, T), E]: the logits of a block, where it is chosen for before its tiles are
    // finished and what logits are made of is not saved anyway. Else absent.
    TensorView block_logits;
    CapacityLimit::Pass limit;
  };
  ForwardMemory AllocateForward(const Context& context, const RouterInput& input) const;
  // Rows [row, end) of the micro-batch, a tile without values.
  ScoreTile TileAt(const ForwardMemory& memory, const RouterInput& input,
                   const RouterOutput& output, int64_t row, int64_t end) const;
  // Logits of the tile. Where tokens are chosen for together, the first tile of a block fills the
  // logits and ids of all of it, so that x is read once in any case.
  void FillLogits(const Context& context, const RouterInput& input, const RouterOutput& output,
                  const ForwardMemory& memory, const ScoreTile& tile) const;
  void ChooseBlock(const Context& context, const RouterInput& input, const RouterOutput& output,
                   const ForwardMemory& memory, int64_t row) const;
  // expert_ids I32 [S, copies] of the sequence that begins at row `first`, by parts_.sequence.
  void ChooseSequence(const Context& context, const RouterInput& input, int64_t first,
                      TensorView logits, SequenceReport& report, TensorView expert_ids) const;
  // Shows a tile that has been chosen for to the capacity's limit.
  void MeasureAngles(const Context& context, const RouterInput& input, const ForwardMemory& memory,
                     const ScoreTile& tile) const;
  void SelectTile(const Context& context, const RouterInput& input, const ScoreTile& tile,
                  TensorView ids, std::span<double> sums) const;
  // The segments of the selector, the last, and of the capacity's limit, before it.
  template <typename T>
  std::span<T> SelectorSums(std::span<T> all) const {
    return all.last(static_cast<size_t>(selector_.num_statistics()));
  }
  template <typename T>
  std::span<T> LimitSums(std::span<T> all) const {
    const auto size = static_cast<size_t>(limit_.num_statistics());
    return all.last(size + static_cast<size_t>(selector_.num_statistics())).first(size);
  }
  // Memory for a tile of x with noise on it; absent where there is none.
  TensorView AllocateNoisy(Workspace& workspace, const RouterInput& input) const;
  // Rows [row, end) of x, or, in `noisy`, what jitter makes of them.
  ConstTensorView TileOfX(const Context& context, const RouterInput& input, int64_t row,
                          int64_t end, TensorView noisy) const;
  void LogitsBackward(const Context& context, ConstTensorView x, const ScoreTile& tile,
                      const ScoreTileGradient& gradient, TensorView dx) const;
  void CheckShapes(const RouterInput& input, const RouterOutput& output) const;
  void CheckBackwardShapes(const RouterInput& input, const RouterBackwardInput& backward,
                           TensorView dx) const;
  MicroBatch BatchOf(const RouterInput& input, ConstTensorView selected) const;
  // The statistics of Backward or Losses; `sums` are those of `load_tokens` tokens, or empty.
  StepStatistics StatisticsFrom(std::span<const double> sums, int64_t load_tokens,
                                int64_t batch_tokens) const;
  // `placed`'s own view of them.
  StepStatistics ForLoss(const PlacedLoss& placed, StepStatistics statistics,
                         std::span<const double> sums) const;
  // Memory for a tile of kTileTokens, in context.scratch, with what the logits' source prepares.
  ScoreTile PrepareTile(const Context& context, DType dtype) const;
  ScoreTileGradient AllocateGradient(Workspace& workspace, DType dtype) const;
  // Rows [row, end) of what the forward pass saved for its latent space.
  TensorView SavedMoments(const RouterOutput& output, int64_t row, int64_t end) const;
  TensorView SavedIds(const RouterOutput& output) const;
  // The logits of a tile, first from x, then again.
  void ComputeLogits(const Context& context, ConstTensorView x, const ScoreTile& tile) const;
  void RestoreLogits(const Context& context, ConstTensorView x, const ScoreTile& tile) const;
  void SetZero(const Context& context, const ScoreTileGradient& gradient) const;
  std::span<double> AllocateState(Workspace& workspace) const;
  void SaveIds(const RouterOutput& output) const;
  // I32 [T, K] before capacity.
  ConstTensorView SelectedIds(const Context& context, const RouterOutput& output) const;

  const RouterOptions options_;
  ScoreRouterParts parts_;
  const StatisticsLayout layout_;
  const InputJitter jitter_;
  Selector selector_;
  const CapacityLimit limit_;
  const LatentShape latent_;  // all zero: none
  std::vector<PlacedLoss> losses_;
  int64_t num_statistics_ = 0;
  int64_t num_state_ = 0;
  bool needs_softmax_ = false;
};

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_SCORE_ROUTER_H_
