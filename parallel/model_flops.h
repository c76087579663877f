#ifndef EQUIPOISE_PARALLEL_MODEL_FLOPS_H_
#define EQUIPOISE_PARALLEL_MODEL_FLOPS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "comm/communicator.h"
#include "core/device/context.h"
#include "parallel/model_options.h"

namespace equipoise::parallel {

// FLOPs that a model's training needs for a token: three times the forward pass (a backward pass is
// twice as much), by the usual count of MFU (Chowdhery et al., PaLM, 2022, appendix B): matrix
// products only, causal attention as half a square, K experts and the shared ones, the router and
// the head; nothing for what is computed again, dropped or moved.
double TrainingFlopsPerToken(const ModelOptions& model, int64_t sequence_length);

// FLOP/s of one square float product of 512 on every rank, all ranks busy at once, the fastest of a
// few, summed over ranks: what the model's FLOP/s are held against. About 15 ms, once a run.
// Collective; the same on every rank. 0.8 MB of each scratch workspace's memory, given back.
absl::StatusOr<double> MeasureGemmRate(comm::Communicator& world, const Context& context);

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_MODEL_FLOPS_H_
