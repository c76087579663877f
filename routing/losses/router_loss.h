#ifndef EQUIPOISE_ROUTING_LOSSES_ROUTER_LOSS_H_
#define EQUIPOISE_ROUTING_LOSSES_ROUTER_LOSS_H_

#include <cstdint>
#include <span>
#include <string>

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"
#include "routing/router.h"
#include "routing/score_tile.h"

namespace equipoise::routing {

// What a loss may ask about the tokens of the pass it is in.
struct MicroBatch {
  int64_t num_tokens = 0;       // T
  int64_t sequence_length = 0;  // S; T is a multiple of it
  // I32 [T, K], before capacity. In the forward pass, filled up to the end of the current tile.
  ConstTensorView selected;
  ConstTensorView nodes;  // I32 [T], home nodes; absent: all of node 0
  // Of row 0, for random draws: its index among all tokens of the step, and the step.
  int64_t first_token = 0;
  int64_t step = 0;
};

// What the gradient is taken with.
struct StepStatistics {
  // Copies of each expert [E] over `load_tokens` tokens; empty: not known.
  std::span<const double> load;
  // The loss's own segment of the same sums.
  std::span<const double> sums;
  int64_t load_tokens = 0;
  // Of the whole step.
  int64_t batch_tokens = 0;
};

// An auxiliary loss of a score-based router, as a sum over tokens, tile by tile. It owns a segment
// of the router's packed buffer of sums, and never sees anything larger than a tile. Immutable;
// what must survive from one tile of a pass to the next lives in `state`.
class RouterLoss {
 public:
  virtual ~RouterLoss() = default;

  // As in telemetry.
  virtual const std::string& name() const = 0;
  // Doubles in its segment of the sums, and doubles of state (zero when a pass starts).
  virtual int64_t num_statistics() const = 0;
  virtual int64_t num_state() const { return 0; }
  // Where the load of its gradient comes from; kMicroBatch: it needs none.
  virtual LossScope load_scope() const { return LossScope::kMicroBatch; }
  // Segment::meaning of its sums, besides the scores they are of.
  virtual std::string meaning() const { return ""; }
  // Whether it reads tile.softmax and tile.log_sum_exp.
  virtual bool needs_softmax() const { return false; }

  // Adds the tile's share to `sums`, its segment.
  virtual void Accumulate(const Context& context, const MicroBatch& batch, const ScoreTile& tile,
                          std::span<double> state, std::span<double> sums) const = 0;

  // Adds the gradient of the step's loss to gradient.probabilities or gradient.logits.
  virtual void AddGradient(const Context& context, const MicroBatch& batch, const ScoreTile& tile,
                           const StepStatistics& statistics, std::span<double> state,
                           const ScoreTileGradient& gradient) const = 0;

  // Adds what the loss gives to parameters of its own, once a backward pass over `num_tokens` of
  // the step's tokens: that share of the step's gradient.
  virtual void AddParameterGradient(const Context& context, int64_t num_tokens,
                                    const StepStatistics& statistics) const {
    (void)context, (void)num_tokens, (void)statistics;
  }

  // The weighted loss of a step, from its segment of the step's sums. batch_tokens > 0.
  virtual double Value(std::span<const double> sums, const StepStatistics& statistics) const = 0;
};

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LOSSES_ROUTER_LOSS_H_
