#include "parallel/gradient_sync.h"

#include <cmath>
#include <limits>
#include <memory>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "comm/backends/thread/run_ranks.h"
#include "comm/decorators/decorator.h"
#include "core/base/status_macros.h"
#include "gtest/gtest.h"
#include "tests/parallel/flat_model.h"

namespace equipoise::parallel {
namespace {

using testing_support::FlatModel;
using testing_support::FlatOf;
using testing_support::SetDoubles;
using testing_support::SetGradient;
using testing_support::SummedGradientOf;
using testing_support::ToDoubles;

constexpr std::array<ParameterGroup, 2> kGroups = {ParameterGroup::kReplicated,
                                                   ParameterGroup::kExpert};

void ExpectCovers(int64_t total, int64_t bucket_elements, int ranks) {
  SCOPED_TRACE(
      absl::StrCat(total, " elements, buckets of ", bucket_elements, ", ", ranks, " ranks"));
  std::vector<int> owners(static_cast<size_t>(total), 0);
  for (int rank = 0; rank < ranks; ++rank) {
    const Sharding sharding = Sharding::Make(total, bucket_elements, ranks, rank);
    int64_t end = 0;
    int64_t in_shard = 0;
    for (const Bucket& bucket : sharding.buckets) {
      EXPECT_EQ(bucket.begin, end) << "buckets leave a gap";
      end = bucket.end;
      EXPECT_EQ(bucket.shard_begin, in_shard) << "shards leave a gap";
      in_shard += bucket.owned_size;
      EXPECT_EQ(bucket.owned_size * ranks, bucket.end - bucket.begin);
      EXPECT_LE(bucket.end - bucket.begin, std::max<int64_t>(bucket_elements, ranks));
      EXPECT_EQ(bucket.owned_begin, bucket.begin + rank * bucket.owned_size);
      for (int64_t i = 0; i < bucket.owned_size; ++i) {
        ++owners[static_cast<size_t>(bucket.owned_begin + i)];
      }
    }
    EXPECT_EQ(end, total);
    EXPECT_EQ(sharding.shard_size, in_shard);
    EXPECT_EQ(sharding.shard_size * ranks, total) << "an uneven share";
  }
  for (const int count : owners) ASSERT_EQ(count, 1);
}

TEST(Sharding, EveryElementHasOneOwner) {
  for (const int ranks : {1, 2, 3, 4, 7}) {
    for (const int64_t rows : {0, 1, 2, 31, 100, 257}) {
      for (const int64_t bucket : {1, 2, 7, 64, 1000, 100000}) {
        ExpectCovers(rows * ranks, bucket, ranks);
      }
    }
  }
}

// Runs `body` on every rank of every layout of small worlds.
void ForEachLayout(const std::function<absl::Status(comm::Communicator&, int degree)>& body) {
  for (const int ranks : {1, 2, 3, 4, 6, 7}) {
    for (int degree = 1; degree <= ranks; ++degree) {
      if (ranks % degree != 0) continue;
      SCOPED_TRACE(absl::StrCat(ranks, " ranks, expert_parallel ", degree));
      const absl::Status status =
          comm::RunRanks(ranks, [&](comm::Communicator& world) { return body(world, degree); });
      EXPECT_TRUE(status.ok()) << status;
    }
  }
}

// This rank's part of a whole flat buffer.
std::vector<double> ShardOf(const std::vector<double>& flat, const Sharding& sharding) {
  std::vector<double> shard;
  for (const Bucket& bucket : sharding.buckets) {
    const auto begin = flat.begin() + bucket.owned_begin;
    shard.insert(shard.end(), begin, begin + bucket.owned_size);
  }
  return shard;
}

void ExpectPlainSums(FlatModel& model) {
  for (const ParameterGroup group : kGroups) {
    const std::vector<double> sums = FlatOf(
        model, group, [&](size_t index, int64_t i) { return SummedGradientOf(model, index, i); });
    EXPECT_EQ(ToDoubles(model.sync->shard(group)), ShardOf(sums, model.sync->sharding(group)));
  }
}

TEST(GradientSync, GivesEveryRankItsPartOfThePlainSums) {
  for (const int64_t bucket : {1, 50, 100000}) {
    ForEachLayout([&](comm::Communicator& world, int degree) -> absl::Status {
      EQ_ASSIGN_OR_RETURN(const auto model,
                          testing_support::MakeFlatModel(world, degree, DType::kF32, bucket));
      for (int step = 0; step < 2; ++step) {
        for (size_t i = 0; i < model->parameters.parameters().size(); ++i) SetGradient(*model, i);
        EQ_RETURN_IF_ERROR(model->sync->MarkComplete(model->memory.context(), 0));
        EQ_RETURN_IF_ERROR(model->sync->Finish());
        ExpectPlainSums(*model);
      }
      return absl::OkStatus();
    });
  }
}

// Gradients appear one parameter after the other, last one first; before, they are NaN: a bucket
// that left too early would carry that.
TEST(GradientSync, NoBucketLeavesBeforeItsLastGradient) {
  ForEachLayout([&](comm::Communicator& world, int degree) -> absl::Status {
    EQ_ASSIGN_OR_RETURN(const auto model,
                        testing_support::MakeFlatModel(world, degree, DType::kF64, 20));
    const size_t count = model->parameters.parameters().size();
    for (size_t i = 0; i < count; ++i) {
      const TensorView gradient = model->parameters.parameters()[i]->gradient();
      SetDoubles(gradient, std::vector<double>(static_cast<size_t>(gradient.num_elements()),
                                               std::numeric_limits<double>::quiet_NaN()));
    }
    for (size_t i = count; i-- > 0;) {
      SetGradient(*model, i);
      EQ_RETURN_IF_ERROR(
          model->sync->MarkComplete(model->memory.context(), static_cast<int64_t>(i)));
    }
    EQ_RETURN_IF_ERROR(model->sync->Finish());
    ExpectPlainSums(*model);
    return absl::OkStatus();
  });
}

// Counts the reduce-scatters that were started on a world and the groups split from it.
class Watcher final : public comm::Decorator {
 public:
  Watcher(comm::Communicator& inner, int64_t& elements) : Decorator(inner), elements_(elements) {}
  Watcher(std::unique_ptr<comm::Communicator> inner, int64_t& elements)
      : Decorator(std::move(inner)), elements_(elements) {}

 private:
  absl::StatusOr<comm::Work> Run(const Context& context, const comm::Call& call) override {
    if (call.verb == comm::Verb::kReduceScatter) elements_ += call.send.num_elements();
    return Forward(context, call);
  }
  absl::StatusOr<std::unique_ptr<comm::Communicator>> Wrap(
      std::unique_ptr<comm::Communicator> group) override {
    return std::unique_ptr<comm::Communicator>(new Watcher(std::move(group), elements_));
  }

  int64_t& elements_;
};

// Elements of the group's whole buckets within what is complete from parameter `first` on.
int64_t CompleteElements(FlatModel& model, ParameterGroup group, size_t first) {
  int64_t complete = first == 0 ? model.parameters.values(group).num_elements() : 0;
  for (size_t i = first; i < model.parameters.parameters().size(); ++i) {
    const Parameter& parameter = *model.parameters.parameters()[i];
    if (parameter.spec().group != group) continue;
    complete = std::max(complete, parameter.offset() + parameter.num_elements());
  }
  int64_t elements = 0;
  for (const Bucket& bucket : model.sync->sharding(group).buckets) {
    if (bucket.end <= complete) elements += bucket.end - bucket.begin;
  }
  return elements;
}

TEST(GradientSync, EveryBucketLeavesWithItsLastGradient) {
  const absl::Status status = comm::RunRanks(4, [](comm::Communicator& world) -> absl::Status {
    int64_t started = 0;
    Watcher watched(world, started);
    EQ_ASSIGN_OR_RETURN(const auto model,
                        testing_support::MakeFlatModel(watched, 2, DType::kF32, 20));
    std::set<int64_t> stages;
    for (size_t i = model->parameters.parameters().size(); i-- > 0;) {
      SetGradient(*model, i);
      EQ_RETURN_IF_ERROR(
          model->sync->MarkComplete(model->memory.context(), static_cast<int64_t>(i)));
      int64_t expected = 0;
      for (const ParameterGroup group : kGroups) expected += CompleteElements(*model, group, i);
      EXPECT_EQ(started, expected) << "after parameter " << i;
      stages.insert(started);
    }
    EXPECT_GE(stages.size(), 4u) << "everything left at once: nothing overlaps";
    return model->sync->Finish();
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST(GradientSync, BringsValuesAndShardsBackTogether) {
  ForEachLayout([&](comm::Communicator& world, int degree) -> absl::Status {
    EQ_ASSIGN_OR_RETURN(const auto model,
                        testing_support::MakeFlatModel(world, degree, DType::kF32, 50));
    for (const ParameterGroup group : kGroups) {
      // Each rank knows its own part only.
      std::vector<double> whole = FlatOf(*model, group, [](size_t index, int64_t i) {
        return static_cast<double>(index * 1000) + static_cast<double>(i);
      });
      const TensorView values = model->parameters.values(group);
      const std::vector<double> shard = ShardOf(whole, model->sync->sharding(group));
      std::vector<double> own(whole.size(), -1.0);
      for (const Bucket& bucket : model->sync->sharding(group).buckets) {
        const auto begin = static_cast<size_t>(bucket.owned_begin);
        for (size_t i = 0; i < static_cast<size_t>(bucket.owned_size); ++i) {
          own[begin + i] = whole[begin + i];
        }
      }
      SetDoubles(values, own);
      const TensorView part =
          model->memory.Make(DType::kF32, {static_cast<int64_t>(shard.size())}, shard);
      const TensorView gathered = model->memory.Zeros(DType::kF32, values.shape());
      EQ_RETURN_IF_ERROR(model->sync->GatherShard(model->memory.context(), group, part, gathered));
      EXPECT_EQ(ToDoubles(gathered), whole);
    }
    EQ_RETURN_IF_ERROR(model->sync->GatherValues(model->memory.context()));
    for (const ParameterGroup group : kGroups) {
      EXPECT_EQ(ToDoubles(model->parameters.values(group)),
                FlatOf(*model, group, [](size_t index, int64_t i) {
                  return static_cast<double>(index * 1000) + static_cast<double>(i);
                }));
    }
    return absl::OkStatus();
  });
}

}  // namespace
}  // namespace equipoise::parallel
