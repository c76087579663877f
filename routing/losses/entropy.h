#ifndef EQUIPOISE_ROUTING_LOSSES_ENTROPY_H_
#define EQUIPOISE_ROUTING_LOSSES_ENTROPY_H_

#include <cstdint>
#include <memory>
#include <span>

#include "routing/losses/router_loss.h"

namespace equipoise::routing {

// coefficient * mean over the step's tokens of the Tsallis entropy of their probabilities,
// S_q(p) = (1 - sum_e p_e^q) / (q - 1); order q = 1 is Shannon's, -sum_e p_e ln p_e.
struct EntropyLossOptions {
  double coefficient = 0.0;  // above 0: decided tokens; below 0: undecided ones
  double order = 1.0;        // q >= 1; 1.1 in DynMoLE
};

// S_q(p), in double.
template <typename T>
double TsallisEntropy(double order, std::span<const T> p);
// S_q of every expert alike: the largest value.
double LargestEntropy(double order, int64_t num_experts);

// "entropy" (DynMoLE, arXiv 2504.00661). Sums: [0] of the tokens' entropies.
// dp_te = coefficient * (-q p_te^(q - 1) / (q - 1)) / batch tokens; for q = 1, -(ln p_te + 1).
std::unique_ptr<RouterLoss> MakeEntropyLoss(const EntropyLossOptions& options);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_LOSSES_ENTROPY_H_
