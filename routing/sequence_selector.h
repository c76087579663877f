#ifndef EQUIPOISE_ROUTING_SEQUENCE_SELECTOR_H_
#define EQUIPOISE_ROUTING_SEQUENCE_SELECTOR_H_

#include <cstdint>

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"

namespace equipoise::routing {

// One sequence in front of a SequenceSelector.
struct SequenceScores {
  bool training = true;
  ConstTensorView logits;     // [S, E]
  ConstTensorView token_ids;  // I32 [S]
};

// Chooses experts for all tokens of a sequence together: for routers in which a token's experts
// depend on other tokens. By sequence, so that the choice does not depend on the layout. Such a
// choice is not causal: it looks ahead. It takes S x E numbers of scratch. Immutable.
class SequenceSelector {
 public:
  virtual ~SequenceSelector() = default;

  // Columns of expert_ids.
  virtual int64_t max_copies() const = 0;
  // expert_ids I32 [S, max_copies()]: different experts in descending order of score, then -1.
  virtual void Select(const Context& context, const SequenceScores& sequence,
                      TensorView expert_ids) const = 0;
};

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_SEQUENCE_SELECTOR_H_
