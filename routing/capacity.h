#ifndef EQUIPOISE_ROUTING_CAPACITY_H_
#define EQUIPOISE_ROUTING_CAPACITY_H_

#include <cstdint>
#include <span>

#include "core/device/context.h"
#include "core/tensor/tensor_view.h"
#include "routing/router.h"

namespace equipoise::routing {

// Most copies an expert may get from one sequence: ceil(factor * S * K / E), and never more
// than S, since a token chooses an expert once.
// REQUIRES: factor > 0.
int64_t ExpertCapacity(const CapacityOptions& options, int64_t sequence_length, int num_experts,
                       int top_k);

// Drops the copies beyond an expert's capacity, sequence by sequence: those of the lowest gates,
// ties the later token. A dropped copy's id becomes -1 and its gate 0; the other gates of its token
// stay as they are. expert_ids I32 [T, K], each row's experts different; gates [T, K]; T a multiple
// of `sequence_length`. Does nothing for factor 0. Returns the number dropped (host value).
int64_t ApplyCapacity(const Context& context, const CapacityOptions& options,
                      int64_t sequence_length, int num_experts, TensorView expert_ids,
                      TensorView gates);

// The same with a capacity for every sequence: as many as there are.
int64_t ApplyCapacities(const Context& context, std::span<const int64_t> capacities,
                        int64_t sequence_length, int num_experts, TensorView expert_ids,
                        TensorView gates);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_CAPACITY_H_
