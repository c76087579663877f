#ifndef EQUIPOISE_ROUTING_GROUP_LIMIT_H_
#define EQUIPOISE_ROUTING_GROUP_LIMIT_H_

#include <cstdint>

#include "absl/status/status.h"
#include "core/device/context.h"
#include "core/tensor/tensor_view.h"

namespace equipoise::routing {

// What a group of experts is worth to a token.
enum class GroupScore : uint8_t {
  kMax,        // its best expert (DeepSeek-V2)
  kTopTwoSum,  // the sum of its two best, or its only one (DeepSeek-V3)
};

// Experts in `num_groups` groups of consecutive ids; a token chooses among its `top_groups` best
// groups alone. With one group for each node, a token goes to at most `top_groups` nodes.
struct GroupLimitOptions {
  int num_groups = 1;
  int top_groups = 1;
  GroupScore score = GroupScore::kTopTwoSum;

  bool enabled() const { return top_groups < num_groups; }
};

// InvalidArgument unless groups are of equal size and the allowed ones hold K experts.
absl::Status CheckGroupLimit(const GroupLimitOptions& options, int num_experts, int top_k);

// Sets ranking [n, E] to minus infinity outside each row's best groups; ties to the lowest group.
void LimitGroups(const Context& context, const GroupLimitOptions& options, TensorView ranking);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_GROUP_LIMIT_H_
