#ifndef EQUIPOISE_TESTS_ROUTING_REFERENCE_ROUTER_H_
#define EQUIPOISE_TESTS_ROUTING_REFERENCE_ROUTER_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "routing/router.h"

namespace equipoise::routing {

// What a top_k router must give, by the definitions, in double, with every array of T x E there.
struct ReferenceRouting {
  std::vector<double> logits;         // [T, E]
  std::vector<double> probabilities;  // [T, E]
  std::vector<int32_t> ids;           // [T, K], before capacity
  std::vector<double> gates;          // [T, K]
  std::vector<double> counts;         // [E]
  double entropy = 0.0;               // sum over tokens
  double z_loss = 0.0;                // with its coefficient
};

// x [T, H], weight [E, H].
ReferenceRouting RouteByDefinition(const RouterOptions& options, std::span<const double> x,
                                   std::span<const double> weight);

// Mean over groups of `group_tokens` rows of coefficient * E * sum_e f_e P_e. T a multiple of it.
double BalanceByDefinition(const RouterOptions& options, const ReferenceRouting& routing,
                           int64_t group_tokens);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_TESTS_ROUTING_REFERENCE_ROUTER_H_
