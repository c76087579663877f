// The life of the sums behind auxiliary losses: where they are taken from, when, and that none is
// counted twice.

#include "parallel/router_statistics.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "comm/backends/thread/run_ranks.h"
#include "core/base/status_macros.h"
#include "gtest/gtest.h"
#include "tests/support/test_context.h"

namespace equipoise::parallel {
namespace {

using routing::LossScope;
using testing_support::TestContext;
using testing_support::ToDoubles;

// A router that is nothing but a number of sums and the scope they are needed in.
class SumsOnly final : public routing::Router {
 public:
  SumsOnly(int64_t num_statistics, LossScope scope)
      : num_statistics_(num_statistics), scope_(scope) {}
  const std::string& kind() const override { return kind_; }
  int64_t max_copies_per_token() const override { return 1; }
  int64_t num_statistics() const override { return num_statistics_; }
  int64_t saved_per_token() const override { return 0; }
  LossScope statistics_scope() const override { return scope_; }
  void Forward(const Context&, const routing::RouterInput&,
               const routing::RouterOutput&) const override {}
  void Backward(const Context&, const routing::RouterInput&, const routing::RouterOutput&,
                const routing::RouterBackwardInput&, TensorView) const override {}
  std::vector<routing::LossTerm> Losses(std::span<const double>, int64_t, std::span<const double>,
                                        int64_t) const override {
    return {};
  }

 private:
  const std::string kind_ = "sums_only";
  const int64_t num_statistics_;
  const LossScope scope_;
};

// Two layers of different size on every rank; tokens of a micro-batch are 10.
constexpr int64_t kSizes[] = {3, 5};
constexpr int64_t kTokens = 10;

std::vector<double> Partial(int rank, int step, int micro_batch, int layer) {
  std::vector<double> values;
  for (int64_t i = 0; i < kSizes[layer]; ++i) {
    values.push_back(static_cast<double>(1000 * step + 100 * micro_batch + 10 * rank + i));
  }
  return values;
}

// Sums over all ranks and micro-batches [0, micro_batches).
std::vector<double> Total(int ranks, int step, int micro_batches, int layer) {
  std::vector<double> sums(static_cast<size_t>(kSizes[layer]), 0.0);
  for (int rank = 0; rank < ranks; ++rank) {
    for (int m = 0; m < micro_batches; ++m) {
      const std::vector<double> partial = Partial(rank, step, m, layer);
      for (size_t i = 0; i < sums.size(); ++i) sums[i] += partial[i];
    }
  }
  return sums;
}

// One rank's statistics and what its layers do with them.
class Rank {
 public:
  static absl::StatusOr<std::unique_ptr<Rank>> Create(comm::Communicator& world, LossScope scope,
                                                      LoadSource source) {
    std::unique_ptr<Rank> rank(new Rank(world, scope));
    EQ_ASSIGN_OR_RETURN(rank->statistics_,
                        RouterStatistics::Create(rank->memory_.device(), world,
                                                 {&rank->routers_[0], &rank->routers_[1]}, source));
    return rank;
  }
  RouterStatistics& statistics() { return *statistics_; }

  // A step of `micro_batches`; `check(m, layer, input)` sees what each backward pass gets.
  absl::Status Step(
      int step, int micro_batches,
      const std::function<void(int m, int layer, const routing::RouterBackwardInput&)>& check) {
    const Context& context = memory_.context();
    statistics_->BeginStep(context, kTokens * micro_batches);
    for (int m = 0; m < micro_batches; ++m) {
      statistics_->BeginMicroBatch(kTokens);
      for (int layer = 0; layer < 2; ++layer) {
        const TensorView partial =
            memory_.Make(DType::kF64, {kSizes[layer]}, Partial(world_.rank(), step, m, layer));
        EQ_RETURN_IF_ERROR(statistics_->Record(context, layer, partial));
      }
      for (int layer = 1; layer >= 0; --layer) {
        EQ_ASSIGN_OR_RETURN(const auto input, statistics_->ForBackward(context, layer));
        EXPECT_EQ(input.batch_tokens, kTokens * micro_batches);
        check(m, layer, input);
      }
    }
    EQ_RETURN_IF_ERROR(statistics_->EndStep(context));
    EXPECT_EQ(statistics_->tokens(), kTokens * micro_batches);
    for (int layer = 0; layer < 2; ++layer) {
      EXPECT_EQ(statistics_->Sums(layer), Total(world_.size(), step, micro_batches, layer));
    }
    return absl::OkStatus();
  }

 private:
  Rank(comm::Communicator& world, LossScope scope)
      : world_(world), routers_{SumsOnly(kSizes[0], scope), SumsOnly(kSizes[1], scope)} {}
  comm::Communicator& world_;
  TestContext memory_{size_t{1} << 20};
  SumsOnly routers_[2];
  std::unique_ptr<RouterStatistics> statistics_;
};

void OnEveryRank(LossScope scope, LoadSource source,
                 const std::function<absl::Status(comm::Communicator&, Rank&)>& body) {
  for (const int ranks : {1, 2, 3, 4}) {
    const absl::Status status =
        comm::RunRanks(ranks, [&](comm::Communicator& world) -> absl::Status {
          EQ_ASSIGN_OR_RETURN(const auto rank, Rank::Create(world, scope, source));
          return body(world, *rank);
        });
    EXPECT_TRUE(status.ok()) << ranks << " ranks: " << status;
  }
}

TEST(RouterStatistics, CurrentStepGivesTheWholeStepBeforeItsBackward) {
  OnEveryRank(LossScope::kGlobalBatch, LoadSource::kCurrentStep,
              [](comm::Communicator& world, Rank& rank) -> absl::Status {
                for (int step = 1; step <= 3; ++step) {
                  EQ_RETURN_IF_ERROR(rank.Step(step, 1, [&](int, int layer, const auto& input) {
                    EXPECT_EQ(ToDoubles(input.statistics), Total(world.size(), step, 1, layer));
                    EXPECT_EQ(input.statistics_tokens, kTokens);
                  }));
                  EXPECT_EQ(rank.statistics().Load(1), Total(world.size(), step, 1, 1));
                  EXPECT_EQ(rank.statistics().load_tokens(1), kTokens);
                }
                return absl::OkStatus();
              });
}

TEST(RouterStatistics, PreviousStepIsTheSameForEveryMicroBatch) {
  OnEveryRank(LossScope::kGlobalBatch, LoadSource::kPreviousStep,
              [](comm::Communicator& world, Rank& rank) -> absl::Status {
                EQ_RETURN_IF_ERROR(rank.Step(1, 2, [](int, int, const auto& input) {
                  EXPECT_TRUE(input.statistics.absent()) << "the first step has no step before it";
                }));
                EXPECT_TRUE(rank.statistics().Load(0).empty());
                // Steps may have different numbers of micro-batches.
                EQ_RETURN_IF_ERROR(rank.Step(2, 3, [&](int m, int layer, const auto& input) {
                  EXPECT_EQ(ToDoubles(input.statistics), Total(world.size(), 1, 2, layer)) << m;
                  EXPECT_EQ(input.statistics_tokens, 2 * kTokens);
                }));
                EXPECT_EQ(rank.statistics().Load(1), Total(world.size(), 1, 2, 1));
                EXPECT_EQ(rank.statistics().load_tokens(1), 2 * kTokens);
                return rank.Step(3, 1, [&](int, int layer, const auto& input) {
                  EXPECT_EQ(ToDoubles(input.statistics), Total(world.size(), 2, 3, layer));
                  EXPECT_EQ(input.statistics_tokens, 3 * kTokens);
                });
              });
}

TEST(RouterStatistics, RunningGrowsWithEveryMicroBatch) {
  for (const LoadSource source : {LoadSource::kCurrentStep, LoadSource::kPreviousStep}) {
    OnEveryRank(LossScope::kRunning, source, [](comm::Communicator& world, Rank& rank) {
      return rank.Step(1, 3, [&](int m, int layer, const auto& input) {
        EXPECT_EQ(ToDoubles(input.statistics), Total(world.size(), 1, m + 1, layer));
        EXPECT_EQ(input.statistics_tokens, (m + 1) * kTokens);
      });
    });
  }
}

TEST(RouterStatistics, LocalScopesNeedNone) {
  for (const LossScope scope : {LossScope::kSequence, LossScope::kMicroBatch}) {
    OnEveryRank(scope, LoadSource::kCurrentStep, [](comm::Communicator&, Rank& rank) {
      return rank.Step(1, 2,
                       [](int, int, const auto& input) { EXPECT_TRUE(input.statistics.absent()); });
    });
  }
}

TEST(RouterStatistics, ExportedSumsGoOnElsewhere) {
  OnEveryRank(LossScope::kGlobalBatch, LoadSource::kPreviousStep,
              [](comm::Communicator& world, Rank& rank) -> absl::Status {
                EQ_RETURN_IF_ERROR(rank.Step(1, 2, [](int, int, const auto&) {}));
                EQ_ASSIGN_OR_RETURN(const auto other, Rank::Create(world, LossScope::kGlobalBatch,
                                                                   LoadSource::kPreviousStep));
                EXPECT_EQ(rank.statistics().previous_tokens(), 2 * kTokens);
                EQ_RETURN_IF_ERROR(other->statistics().ImportPrevious(
                    rank.statistics().ExportPrevious(), rank.statistics().previous_tokens()));
                return other->Step(2, 2, [&](int, int layer, const auto& input) {
                  EXPECT_EQ(ToDoubles(input.statistics), Total(world.size(), 1, 2, layer));
                  EXPECT_EQ(input.statistics_tokens, 2 * kTokens);
                });
              });
}

TEST(RouterStatistics, RefusesSumsOfAnotherModel) {
  OnEveryRank(LossScope::kGlobalBatch, LoadSource::kPreviousStep,
              [](comm::Communicator&, Rank& rank) -> absl::Status {
                const absl::Status status =
                    rank.statistics().ImportPrevious(std::vector<double>(7), 10);
                EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
                EXPECT_NE(status.message().find("7 router statistics are given, this model has 8"),
                          std::string::npos)
                    << status;
                return absl::OkStatus();
              });
}

}  // namespace
}  // namespace equipoise::parallel
