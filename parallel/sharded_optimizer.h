#ifndef EQUIPOISE_PARALLEL_SHARDED_OPTIMIZER_H_
#define EQUIPOISE_PARALLEL_SHARDED_OPTIMIZER_H_

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/nn/parameter.h"
#include "core/optim/adamw.h"
#include "core/tensor/tensor.h"
#include "parallel/gradient_sync.h"
#include "parallel/mesh.h"

namespace equipoise::parallel {

// AdamW whose state is sharded over the replicas of each parameter (ZeRO stage 1). Parameters are
// kept in the type they are computed in (float), so they are their own master copy.
//
// One per rank; belongs to one thread; registry, mesh and sync outlive it.
class ShardedOptimizer {
 public:
  static absl::StatusOr<std::unique_ptr<ShardedOptimizer>> Create(Device& device, const Mesh& mesh,
                                                                  ParameterRegistry& parameters,
                                                                  GradientSync& sync);

  // L2 norm of the whole gradient after GradientSync::Finish: every element of the model counts
  // once, however it is replicated or sharded. Collective over the world.
  absl::StatusOr<double> GradientNorm(const Context& context, const comm::WaitPlace& place = {});

  // Updates this rank's part of the parameters from its part of the gradients, multiplied by
  // `gradient_scale`, and brings the parts together. `step` counts from 1. Collective.
  absl::Status Update(const Context& context, const AdamWOptions& options, int64_t step,
                      double learning_rate, double gradient_scale);

  // Moments [shard_size] of this rank, for checkpoints.
  TensorView first_moment(ParameterGroup group) { return state(group).first_moment.view(); }
  TensorView second_moment(ParameterGroup group) { return state(group).second_moment.view(); }

 private:
  // A run of one parameter inside this rank's part of one bucket.
  struct Slice {
    int64_t value_begin = 0;  // in the flat values
    int64_t shard_begin = 0;
    int64_t size = 0;
    bool decay = true;
  };
  struct GroupState {
    Tensor first_moment;
    Tensor second_moment;
    std::vector<Slice> slices;
  };
  ShardedOptimizer(const Mesh& mesh, ParameterRegistry& parameters, GradientSync& sync)
      : mesh_(mesh), parameters_(parameters), sync_(sync) {}
  GroupState& state(ParameterGroup group) { return groups_[static_cast<size_t>(group)]; }
  static std::vector<Slice> MakeSlices(const ParameterRegistry& parameters, ParameterGroup group,
                                       const Sharding& sharding);

  const Mesh& mesh_;
  ParameterRegistry& parameters_;
  GradientSync& sync_;
  std::array<GroupState, kNumParameterGroups> groups_;
  Tensor norm_;  // F64 [1]
};

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_SHARDED_OPTIMIZER_H_
