#ifndef EQUIPOISE_PARALLEL_GRADIENT_SYNC_H_
#define EQUIPOISE_PARALLEL_GRADIENT_SYNC_H_

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "comm/work.h"
#include "core/nn/parameter.h"
#include "core/tensor/tensor.h"
#include "parallel/mesh.h"

namespace equipoise::parallel {

// A run of a group's flat buffers that travels as one message, and the part of it this rank owns:
// elements [begin, end), of which the i-th of n ranks owns the i-th n-th.
struct Bucket {
  int64_t begin = 0;
  int64_t end = 0;
  // Where this rank's part starts, in the flat buffers and in the rank's shard buffers.
  int64_t owned_begin = 0;
  int64_t shard_begin = 0;
  int64_t owned_size = 0;
};

// How a group's flat buffers are split over the ranks that hold copies of it (ZeRO stage 1;
// Rajbhandari et al., 2020): every rank owns the same share of every bucket, so that optimizer
// state is 1/n of it and no bucket waits for another. A value.
struct Sharding {
  std::vector<Bucket> buckets;
  int64_t shard_size = 0;  // sum of owned_size

  // Splits `total` elements, a multiple of `ranks`, into buckets of about `bucket_elements`.
  static Sharding Make(int64_t total, int64_t bucket_elements, int ranks, int rank);
};

// Sums gradients over the ranks that hold copies of them while the backward pass goes on: a bucket
// leaves as soon as its last gradient is there. Gradients are sums over tokens that were scaled by
// the tokens of the whole step, so the sum over ranks is the gradient of the mean; nothing is
// divided by a number of ranks.
//
// One per rank; belongs to one thread; registry and mesh outlive it.
class GradientSync {
 public:
  // REQUIRES: parameters are allocated, padded to the number of replicas of each group.
  static absl::StatusOr<std::unique_ptr<GradientSync>> Create(Device& device, const Mesh& mesh,
                                                              ParameterRegistry& parameters,
                                                              int64_t bucket_elements);

  const Sharding& sharding(ParameterGroup group) const { return state(group).sharding; }

  // The backward pass of the last micro-batch is done with all parameters declared at or after
  // position `first` (in ParameterRegistry::parameters()): starts what is now complete. Collective.
  absl::Status MarkComplete(const Context& context, int64_t first);

  // Waits for everything; MarkComplete(context, 0) must have been called. Afterwards
  // `shard(group)` [shard_size] holds this rank's part of the summed gradients.
  absl::Status Finish(const comm::WaitPlace& place = {});
  TensorView shard(ParameterGroup group) { return state(group).shard.view(); }

  // Brings this rank's part of the flat values to every replica, after the optimizer's update.
  absl::Status GatherValues(const Context& context, const comm::WaitPlace& place = {});

  // Brings shards [shard_size] of this rank and its replicas together: flat [total]. For
  // checkpoints.
  absl::Status GatherShard(const Context& context, ParameterGroup group, ConstTensorView shard,
                           TensorView flat);

 private:
  struct GroupState {
    Sharding sharding;
    Tensor shard;                       // summed gradients
    std::vector<int64_t> complete_end;  // [parameters + 1], see MarkComplete
    size_t next_bucket = 0;
    std::vector<comm::Work> pending;
  };
  GroupState& state(ParameterGroup group) { return groups_[static_cast<size_t>(group)]; }
  const GroupState& state(ParameterGroup group) const {
    return groups_[static_cast<size_t>(group)];
  }
  GradientSync(const Mesh& mesh, ParameterRegistry& parameters)
      : mesh_(mesh), parameters_(parameters) {}

  const Mesh& mesh_;
  ParameterRegistry& parameters_;
  std::array<GroupState, kNumParameterGroups> groups_;
};

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_GRADIENT_SYNC_H_
