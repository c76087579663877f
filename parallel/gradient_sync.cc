#include "parallel/gradient_sync.h"

#include <algorithm>
#include <utility>

#include "comm/collectives.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"

namespace equipoise::parallel {
namespace {

constexpr std::array<ParameterGroup, kNumParameterGroups> kGroups = {ParameterGroup::kReplicated,
                                                                     ParameterGroup::kExpert};

// complete_end[i]: end, in the flat buffers of `group`, of what is complete once all parameters
// from position i on are. The buffers are in reverse order of declaration, so it is a prefix.
std::vector<int64_t> CompleteEnds(const ParameterRegistry& parameters, ParameterGroup group) {
  const auto& all = parameters.parameters();
  std::vector<int64_t> ends(all.size() + 1, 0);
  for (size_t i = all.size(); i-- > 0;) {
    ends[i] = ends[i + 1];
    if (all[i]->spec().group == group) ends[i] = all[i]->offset() + all[i]->num_elements();
  }
  return ends;
}

}  // namespace

Sharding Sharding::Make(int64_t total, int64_t bucket_elements, int ranks, int rank) {
  EQ_CHECK(total % ranks == 0) << total << " elements over " << ranks << " ranks";
  const int64_t step = std::max<int64_t>(bucket_elements / ranks, 1) * ranks;
  Sharding sharding;
  for (int64_t begin = 0; begin < total; begin += step) {
    Bucket bucket;
    bucket.begin = begin;
    bucket.end = std::min(begin + step, total);
    bucket.owned_size = (bucket.end - bucket.begin) / ranks;
    bucket.owned_begin = begin + rank * bucket.owned_size;
    bucket.shard_begin = sharding.shard_size;
    sharding.shard_size += bucket.owned_size;
    sharding.buckets.push_back(bucket);
  }
  return sharding;
}

absl::StatusOr<std::unique_ptr<GradientSync>> GradientSync::Create(Device& device, const Mesh& mesh,
                                                                   ParameterRegistry& parameters,
                                                                   int64_t bucket_elements) {
  std::unique_ptr<GradientSync> sync(new GradientSync(mesh, parameters));
  for (const ParameterGroup group : kGroups) {
    GroupState& state = sync->state(group);
    const comm::Communicator& replicas = mesh.replicas(group);
    const TensorView flat = parameters.values(group);
    state.sharding =
        Sharding::Make(flat.num_elements(), bucket_elements, replicas.size(), replicas.rank());
    EQ_ASSIGN_OR_RETURN(state.shard,
                        Tensor::Create(device, flat.dtype(), {state.sharding.shard_size}));
    state.complete_end = CompleteEnds(parameters, group);
    // Padding behind the first parameter belongs to the last bucket.
    state.complete_end[0] = flat.num_elements();
    state.pending.reserve(state.sharding.buckets.size());
  }
  return sync;
}

absl::Status GradientSync::MarkComplete(const Context& context, int64_t first) {
  for (const ParameterGroup group : kGroups) {
    GroupState& state = this->state(group);
    const int64_t complete = state.complete_end[static_cast<size_t>(first)];
    const TensorView gradients = parameters_.gradients(group);
    for (comm::Work& work : state.pending) work.Test();
    while (state.next_bucket < state.sharding.buckets.size() &&
           state.sharding.buckets[state.next_bucket].end <= complete) {
      const Bucket& bucket = state.sharding.buckets[state.next_bucket++];
      EQ_ASSIGN_OR_RETURN(
          comm::Work work,
          comm::StartReduceScatter(
              mesh_.replicas(group), context, gradients.Rows(bucket.begin, bucket.end),
              state.shard.view().Rows(bucket.shard_begin, bucket.shard_begin + bucket.owned_size)));
      state.pending.push_back(std::move(work));
    }
  }
  return absl::OkStatus();
}

absl::Status GradientSync::Finish(const comm::WaitPlace& place) {
  const comm::WaitOptions wait = {.name = "reduce-scatter of gradients", .place = place};
  for (const ParameterGroup group : kGroups) {
    GroupState& state = this->state(group);
    EQ_CHECK_EQ(state.next_bucket, state.sharding.buckets.size());
    for (comm::Work& work : state.pending) EQ_RETURN_IF_ERROR(work.Wait(wait));
    state.pending.clear();
    state.next_bucket = 0;
  }
  return absl::OkStatus();
}

absl::Status GradientSync::GatherValues(const Context& context, const comm::WaitPlace& place) {
  const comm::WaitOptions wait = {.name = "all-gather of parameters", .place = place};
  std::vector<comm::Work> pending;
  for (const ParameterGroup group : kGroups) {
    const TensorView values = parameters_.values(group);
    for (const Bucket& bucket : sharding(group).buckets) {
      EQ_ASSIGN_OR_RETURN(comm::Work work,
                          comm::StartAllGather(mesh_.replicas(group), context,
                                               values.Rows(bucket.owned_begin,
                                                           bucket.owned_begin + bucket.owned_size),
                                               values.Rows(bucket.begin, bucket.end)));
      pending.push_back(std::move(work));
    }
  }
  for (comm::Work& work : pending) EQ_RETURN_IF_ERROR(work.Wait(wait));
  return absl::OkStatus();
}

absl::Status GradientSync::GatherShard(const Context& context, ParameterGroup group,
                                       ConstTensorView shard, TensorView flat) {
  for (const Bucket& bucket : sharding(group).buckets) {
    EQ_RETURN_IF_ERROR(comm::AllGather(
        mesh_.replicas(group), context,
        shard.Rows(bucket.shard_begin, bucket.shard_begin + bucket.owned_size),
        flat.Rows(bucket.begin, bucket.end), {.name = "all-gather of optimizer state"}));
  }
  return absl::OkStatus();
}

}  // namespace equipoise::parallel
