#include "parallel/sharded_optimizer.h"

#include <algorithm>
#include <cmath>

#include "comm/collectives.h"
#include "comm/host_mirror.h"
#include "core/base/status_macros.h"
#include "core/ops/elementwise.h"

namespace equipoise::parallel {
namespace {

constexpr std::array<ParameterGroup, kNumParameterGroups> kGroups = {ParameterGroup::kReplicated,
                                                                     ParameterGroup::kExpert};

}  // namespace

absl::StatusOr<std::unique_ptr<ShardedOptimizer>> ShardedOptimizer::Create(
    Device& device, const Mesh& mesh, ParameterRegistry& parameters, GradientSync& sync) {
  std::unique_ptr<ShardedOptimizer> optimizer(new ShardedOptimizer(mesh, parameters, sync));
  for (const ParameterGroup group : kGroups) {
    GroupState& state = optimizer->state(group);
    const Sharding& sharding = sync.sharding(group);
    const DType dtype = parameters.values(group).dtype();
    EQ_ASSIGN_OR_RETURN(state.first_moment, Tensor::Create(device, dtype, {sharding.shard_size}));
    EQ_ASSIGN_OR_RETURN(state.second_moment, Tensor::Create(device, dtype, {sharding.shard_size}));
    state.slices = MakeSlices(parameters, group, sharding);
  }
  EQ_ASSIGN_OR_RETURN(optimizer->norm_, Tensor::Create(device, DType::kF64, {1}));
  return optimizer;
}

std::vector<ShardedOptimizer::Slice> ShardedOptimizer::MakeSlices(
    const ParameterRegistry& parameters, ParameterGroup group, const Sharding& sharding) {
  std::vector<Slice> slices;
  for (const Bucket& bucket : sharding.buckets) {
    const int64_t owned_end = bucket.owned_begin + bucket.owned_size;
    for (const auto& parameter : parameters.parameters()) {
      if (parameter->spec().group != group) continue;
      const int64_t begin = std::max(bucket.owned_begin, parameter->offset());
      const int64_t end = std::min(owned_end, parameter->offset() + parameter->num_elements());
      if (begin >= end) continue;
      slices.push_back({begin, bucket.shard_begin + (begin - bucket.owned_begin), end - begin,
                        parameter->spec().decay});
    }
  }
  return slices;
}

absl::StatusOr<double> ShardedOptimizer::GradientNorm(const Context& context,
                                                      const comm::WaitPlace& place) {
  double squares = 0.0;
  for (const ParameterGroup group : kGroups) squares += SumOfSquares(context, sync_.shard(group));
  const TensorView norm = norm_.view();
  comm::MirrorToDevice<double>(context, std::span<const double>(&squares, 1), norm);
  EQ_RETURN_IF_ERROR(comm::AllReduce(mesh_.world(), context, norm, comm::ReduceOp::kSum,
                                     {.name = "all-reduce of the gradient norm", .place = place}));
  comm::MirrorToHost<double>(context, norm, std::span<double>(&squares, 1));
  return std::sqrt(squares);
}

absl::Status ShardedOptimizer::Update(const Context& context, const AdamWOptions& options,
                                      int64_t step, double learning_rate, double gradient_scale) {
  for (const ParameterGroup group : kGroups) {
    GroupState& state = this->state(group);
    const TensorView values = parameters_.values(group);
    const TensorView gradients = sync_.shard(group);
    for (const Slice& slice : state.slices) {
      const int64_t shard_end = slice.shard_begin + slice.size;
      AdamWSlice update;
      update.parameter = values.Rows(slice.value_begin, slice.value_begin + slice.size);
      update.gradient = gradients.Rows(slice.shard_begin, shard_end);
      update.first_moment = state.first_moment.view().Rows(slice.shard_begin, shard_end);
      update.second_moment = state.second_moment.view().Rows(slice.shard_begin, shard_end);
      update.decay = slice.decay;
      AdamWUpdate(context, options, step, learning_rate, gradient_scale, update);
    }
  }
  return sync_.GatherValues(context, {.step = step});
}

}  // namespace equipoise::parallel
