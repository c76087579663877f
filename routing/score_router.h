#ifndef EQUIPOISE_ROUTING_SCORE_ROUTER_H_
#define EQUIPOISE_ROUTING_SCORE_ROUTER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "routing/gates.h"
#include "routing/logits.h"
#include "routing/losses/router_loss.h"
#include "routing/router.h"
#include "routing/score_tile.h"
#include "routing/statistics.h"

namespace equipoise::routing {

// What makes one score-based router differ from another.
struct ScoreRouterParts {
  std::unique_ptr<LogitSource> logits;
  ScoreFunction score = ScoreFunction::kSoftmax;
  GateRule gates;
};

// A router in which every token scores all experts and takes the K best, by itself: logits ->
// scores -> top K -> gates, and every loss's sums, in one pass over x, a tile of tokens at a time.
// The backward pass makes each tile again (bit for bit) instead of saving it, so that what it costs
// in memory is E * kTileTokens numbers, whatever T is. Routers are this class with their parts, not
// subclasses of it.
class ScoreRouter final : public Router {
 public:
  // Takes the losses and the capacity from `options`, which MakeRouter has checked.
  ScoreRouter(const RouterOptions& options, ScoreRouterParts parts);

  const std::string& kind() const override { return options_.kind; }
  int64_t max_copies_per_token() const override { return options_.top_k; }
  int64_t num_statistics() const override { return num_statistics_; }
  int64_t saved_per_token() const override;
  LossScope statistics_scope() const override;

  void Forward(const Context& context, const RouterInput& input,
               const RouterOutput& output) const override;
  void Backward(const Context& context, const RouterInput& input, const RouterOutput& output,
                const RouterBackwardInput& backward, TensorView dx) const override;
  std::vector<LossTerm> Losses(std::span<const double> sums, int64_t tokens,
                               std::span<const double> load, int64_t load_tokens) const override;

  // Tokens of a tile: enough rows for the matrix product, few enough for the cache.
  static constexpr int64_t kTileTokens = 64;

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
  // Dropped copies lose their id, which the backward pass needs: it is saved.
  bool saves_ids() const { return options_.capacity.factor > 0.0; }
  void CheckShapes(const RouterInput& input, const RouterOutput& output) const;
  ScoreTile AllocateTile(Workspace& workspace, DType dtype) const;
  std::span<double> AllocateState(Workspace& workspace) const;
  void SaveIds(const RouterOutput& output) const;
  // I32 [T, K] before capacity.
  ConstTensorView SelectedIds(const Context& context, const RouterOutput& output) const;

  const RouterOptions options_;
  const ScoreRouterParts parts_;
  const StatisticsLayout layout_;
  std::vector<PlacedLoss> losses_;
  int64_t num_statistics_ = 0;
  int64_t num_state_ = 0;
  bool needs_softmax_ = false;
};

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_SCORE_ROUTER_H_
