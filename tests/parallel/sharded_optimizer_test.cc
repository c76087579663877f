#include "parallel/sharded_optimizer.h"

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "comm/backends/thread/run_ranks.h"
#include "core/base/status_macros.h"
#include "gtest/gtest.h"
#include "tests/parallel/flat_model.h"
#include "tests/support/compare.h"

namespace equipoise::parallel {
namespace {

using testing_support::FlatModel;
using testing_support::SameBits;
using testing_support::SummedGradientOf;
using testing_support::TestContext;
using testing_support::ToDoubles;

constexpr int kSteps = 3;

AdamWOptions Options() {
  AdamWOptions options;
  options.weight_decay = 0.3;
  return options;
}

// The same parameter trained alone, on one rank, with all of its state in one place.
std::vector<double> Unsharded(FlatModel& model, size_t index, DType dtype,
                              const std::vector<double>& initial) {
  const auto size = static_cast<int64_t>(initial.size());
  TestContext memory(size_t{1} << 20);
  std::vector<double> gradient;
  for (int64_t i = 0; i < size; ++i) gradient.push_back(SummedGradientOf(model, index, i));
  AdamWSlice slice;
  slice.parameter = memory.Make(dtype, {size}, initial);
  slice.gradient = memory.Make(dtype, {size}, gradient);
  slice.first_moment = memory.Zeros(dtype, {size});
  slice.second_moment = memory.Zeros(dtype, {size});
  slice.decay = model.parameters.parameters()[index]->spec().decay;
  for (int step = 1; step <= kSteps; ++step) {
    AdamWUpdate(memory.context(), Options(), step, 0.01 * step, 0.5, slice);
  }
  return ToDoubles(slice.parameter);
}

absl::Status Reduce(FlatModel& model) {
  for (size_t i = 0; i < model.parameters.parameters().size(); ++i) {
    testing_support::SetGradient(model, i);
  }
  EQ_RETURN_IF_ERROR(model.sync->MarkComplete(model.memory.context(), 0));
  return model.sync->Finish();
}

absl::Status ExpectUnshardedResult(comm::Communicator& world, int degree, int64_t bucket,
                                   DType dtype) {
  EQ_ASSIGN_OR_RETURN(const auto model,
                      testing_support::MakeFlatModel(world, degree, dtype, bucket));
  EQ_ASSIGN_OR_RETURN(const auto optimizer,
                      ShardedOptimizer::Create(model->memory.device(), *model->mesh,
                                               model->parameters, *model->sync));
  std::vector<std::vector<double>> expected;
  for (size_t i = 0; i < model->parameters.parameters().size(); ++i) {
    expected.push_back(
        Unsharded(*model, i, dtype, ToDoubles(model->parameters.parameters()[i]->value())));
  }
  for (int step = 1; step <= kSteps; ++step) {
    EQ_RETURN_IF_ERROR(Reduce(*model));
    EQ_RETURN_IF_ERROR(
        optimizer->Update(model->memory.context(), Options(), step, 0.01 * step, 0.5));
  }
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_TRUE(SameBits(ToDoubles(model->parameters.parameters()[i]->value()), expected[i]))
        << "parameter " << i;
  }
  return absl::OkStatus();
}

// The square of the norm of the whole model, every logical element once.
absl::Status ExpectNorm(comm::Communicator& world, int degree, int64_t bucket) {
  EQ_ASSIGN_OR_RETURN(const auto model,
                      testing_support::MakeFlatModel(world, degree, DType::kF64, bucket));
  EQ_ASSIGN_OR_RETURN(const auto optimizer,
                      ShardedOptimizer::Create(model->memory.device(), *model->mesh,
                                               model->parameters, *model->sync));
  EQ_RETURN_IF_ERROR(Reduce(*model));
  EQ_ASSIGN_OR_RETURN(const double norm, optimizer->GradientNorm(model->memory.context()));
  double squares = 0.0;
  for (size_t index = 0; index < model->parameters.parameters().size(); ++index) {
    const Parameter& parameter = *model->parameters.parameters()[index];
    const bool expert = parameter.spec().group == ParameterGroup::kExpert;
    for (int owner = 0; owner < (expert ? degree : 1); ++owner) {
      for (int64_t i = 0; i < parameter.num_elements(); ++i) {
        double sum = 0.0;
        for (int rank = owner; rank < world.size(); rank += expert ? degree : 1) {
          sum += testing_support::GradientOf(rank, index, i);
        }
        squares += sum * sum;
      }
    }
  }
  // The squares are integers, so their sum is exact; only the root is rounded.
  EXPECT_EQ(norm, std::sqrt(squares));
  return absl::OkStatus();
}

struct Layout {
  int ranks, degree;
};
constexpr Layout kLayouts[] = {{1, 1}, {2, 1}, {2, 2}, {3, 3}, {4, 1}, {4, 2}, {4, 4}, {7, 7}};

TEST(ShardedOptimizer, GivesTheBitsOfTheUnshardedOne) {
  for (const Layout& layout : kLayouts) {
    for (const int64_t bucket : {30, 100000}) {
      for (const DType dtype : {DType::kF32, DType::kF64}) {
        SCOPED_TRACE(absl::StrCat(layout.ranks, " ranks, expert_parallel ", layout.degree,
                                  ", buckets of ", bucket, ", ", Name(dtype)));
        const absl::Status status = comm::RunRanks(layout.ranks, [&](comm::Communicator& world) {
          return ExpectUnshardedResult(world, layout.degree, bucket, dtype);
        });
        EXPECT_TRUE(status.ok()) << status;
      }
    }
  }
}

TEST(ShardedOptimizer, GradientNormCountsEveryElementOnce) {
  for (const Layout& layout : kLayouts) {
    SCOPED_TRACE(absl::StrCat(layout.ranks, " ranks, expert_parallel ", layout.degree));
    const absl::Status status = comm::RunRanks(layout.ranks, [&](comm::Communicator& world) {
      return ExpectNorm(world, layout.degree, 30);
    });
    EXPECT_TRUE(status.ok()) << status;
  }
}

TEST(ShardedOptimizer, HoldsOneShareOfTheMoments) {
  const absl::Status status = comm::RunRanks(4, [](comm::Communicator& world) -> absl::Status {
    EQ_ASSIGN_OR_RETURN(const auto model,
                        testing_support::MakeFlatModel(world, 2, DType::kF32, 50));
    EQ_ASSIGN_OR_RETURN(const auto optimizer,
                        ShardedOptimizer::Create(model->memory.device(), *model->mesh,
                                                 model->parameters, *model->sync));
    const auto total = [&](ParameterGroup group) {
      return model->parameters.values(group).num_elements();
    };
    EXPECT_EQ(optimizer->first_moment(ParameterGroup::kReplicated).num_elements() * 4,
              total(ParameterGroup::kReplicated));
    EXPECT_EQ(optimizer->second_moment(ParameterGroup::kExpert).num_elements() * 2,
              total(ParameterGroup::kExpert));
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

}  // namespace
}  // namespace equipoise::parallel
