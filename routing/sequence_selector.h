#ifndef EQUIPOISE_ROUTING_SEQUENCE_SELECTOR_H_
#define EQUIPOISE_ROUTING_SEQUENCE_SELECTOR_H_

#include <cstdint>
#include <span>

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"
#include "routing/capacity_floor.h"

namespace equipoise::routing {

// What a SequenceSelector tells of a sequence besides its ids.
struct SequenceReport {
  // [E + 1], in the order of a router's sums: copies that tokens asked for and experts turned down
  // are added here, by expert and, last, all together.
  std::span<double> refused;
  RouteAngles angles = {};  // of what tokens asked for, where logits are cosines
  int64_t capacity = 0;     // the most tokens that an expert takes; 0: not told
};

// One sequence in front of a SequenceSelector.
struct SequenceScores {
  bool training = true;
  ConstTensorView logits;     // [S, E]
  ConstTensorView token_ids;  // I32 [S]
  // [S, E]: the logits without what a preference for home has added. Absent: the same.
  ConstTensorView plain = {};
  // Null: nobody asks.
  SequenceReport* report = nullptr;
};

// Chooses experts for all tokens of a sequence together: for routers in which a token's experts
// depend on other tokens. By sequence, so that the choice does not depend on the layout. Such a
// choice is not causal: it looks ahead. It takes S x E numbers of scratch. Immutable.
class SequenceSelector {
 public:
  virtual ~SequenceSelector() = default;

  // Columns of expert_ids.
  virtual int64_t max_copies() const = 0;
  // Whether it keeps a capacity of its own above RouterOptions::capacity.floor.
  virtual bool has_capacity_floor() const { return false; }
  // expert_ids I32 [S, max_copies()]: different experts in descending order of score, then -1.
  virtual void Select(const Context& context, const SequenceScores& sequence,
                      TensorView expert_ids) const = 0;
};

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_SEQUENCE_SELECTOR_H_
