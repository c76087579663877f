#ifndef EQUIPOISE_ROUTING_LOSSES_BALANCE_H_
#define EQUIPOISE_ROUTING_LOSSES_BALANCE_H_

#include <memory>

#include "routing/losses/router_loss.h"

namespace equipoise::routing {

// "balance": coefficient * E * sum_e f_e P_e (Switch Transformer, eq. 4; GShard), where f_e is
// e's share of the copies before capacity and P_e the mean of its probability. f is a constant to
// the gradient: dp_te = coefficient * E * f_e / batch tokens, for every token.
//
//   scope                    f over                        sums
//   kGlobalBatch, kRunning   the load handed to Backward   [e] of e's probability
//   kSequence                each sequence by itself       [0] of S * E * sum_e f_e P_e
//   kMicroBatch              each micro-batch by itself    [0] of T * E * sum_e f_e P_e
//
// So the last two are means over the step's tokens of the loss of the token's own group, and
// their sums over ranks and micro-batches are as linear as the others'.
std::unique_ptr<RouterLoss> MakeBalanceLoss(const BalanceLossOptions& options, int num_experts);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LOSSES_BALANCE_H_
