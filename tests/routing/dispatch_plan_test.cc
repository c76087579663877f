#include "routing/dispatch_plan.h"

#include <algorithm>
#include <tuple>
#include <vector>

#include "core/base/rng.h"
#include "gtest/gtest.h"
#include "tests/support/test_context.h"

namespace equipoise::routing {
namespace {

using testing_support::TestContext;

// Ids of T tokens: different experts per token, some of them -1.
std::vector<double> RandomIds(int64_t num_tokens, int64_t top_k, int num_experts, bool one_hot,
                              uint64_t key) {
  const Philox philox(key);
  std::vector<double> ids;
  for (int64_t t = 0; t < num_tokens; ++t) {
    const uint64_t offset =
        philox.Below(static_cast<uint64_t>(num_experts), static_cast<uint64_t>(t));
    for (int64_t k = 0; k < top_k; ++k) {
      const uint64_t copy = static_cast<uint64_t>(t * top_k + k);
      const bool absent = philox.Uniform(copy, 1) < 0.2;
      const uint64_t id =
          one_hot ? static_cast<uint64_t>(k)
                  : (offset + static_cast<uint64_t>(k)) % static_cast<uint64_t>(num_experts);
      ids.push_back(absent ? -1.0 : static_cast<double>(id));
    }
  }
  return ids;
}

// Every property that the header states, by looking at each copy.
void ExpectPlan(const std::vector<double>& ids, int64_t top_k, const ExpertPlacement& placement,
                const DispatchPlan& plan) {
  const int64_t num_tokens = static_cast<int64_t>(ids.size()) / top_k;
  EXPECT_EQ(plan.num_tokens, num_tokens);
  ASSERT_EQ(plan.source_rows.dim(0), plan.num_copies);
  const auto slots = plan.slots.cpu<int64_t>();
  const auto rows = plan.source_rows.cpu<int64_t>();
  // (slot of expert, copy) in sorted order, rebuilt from the plan.
  std::vector<std::tuple<int, int64_t>> sorted(static_cast<size_t>(plan.num_copies), {-1, -1});
  std::vector<int64_t> counts(static_cast<size_t>(placement.num_experts()), 0);
  int64_t num_copies = 0;
  for (size_t copy = 0; copy < ids.size(); ++copy) {
    if (ids[copy] < 0) {
      EXPECT_EQ(slots[copy], -1);
      continue;
    }
    ++num_copies;
    ASSERT_TRUE(slots[copy] >= 0 && slots[copy] < plan.num_copies);
    const int slot = placement.slot_of(static_cast<int>(ids[copy]));
    ++counts[static_cast<size_t>(slot)];
    auto& entry = sorted[static_cast<size_t>(slots[copy])];
    EXPECT_EQ(std::get<0>(entry), -1) << "two copies at position " << slots[copy];
    entry = {slot, static_cast<int64_t>(copy)};
    EXPECT_EQ(rows[static_cast<size_t>(slots[copy])], static_cast<int64_t>(copy) / top_k);
  }
  EXPECT_EQ(num_copies, plan.num_copies);
  EXPECT_TRUE(std::is_sorted(sorted.begin(), sorted.end()));
  const auto per_slot = plan.rows_per_slot.cpu<int64_t>();
  EXPECT_EQ(std::vector<int64_t>(per_slot.begin(), per_slot.end()), counts);
}

std::vector<ExpertPlacement> Placements(int num_experts) {
  std::vector<int> backwards;
  for (int e = 0; e < num_experts; ++e) backwards.push_back((num_experts - e) % 3 * 2);
  return {ExpertPlacement::Contiguous(num_experts, 1), ExpertPlacement::Contiguous(num_experts, 3),
          ExpertPlacement::Contiguous(num_experts, num_experts + 2),
          *ExpertPlacement::FromTable(backwards, 6)};
}

TEST(DispatchPlanTest, HoldsItsPropertiesOnRandomIds) {
  TestContext context;
  uint64_t key = 0;
  for (const int num_experts : {1, 4, 7, 64}) {
    for (const int64_t top_k : {1, 2, 4}) {
      if (top_k > num_experts) continue;
      for (const int64_t num_tokens : {0, 1, 2, 97}) {
        for (const bool one_hot : {false, true}) {
          const auto ids = RandomIds(num_tokens, top_k, num_experts, one_hot, ++key);
          const TensorView view = context.Make(DType::kI32, {num_tokens, top_k}, ids);
          for (const ExpertPlacement& placement : Placements(num_experts)) {
            SCOPED_TRACE(::testing::Message() << "E=" << num_experts << " K=" << top_k
                                              << " T=" << num_tokens << " hot=" << one_hot);
            ExpectPlan(ids, top_k, placement, MakeDispatchPlan(context.context(), view, placement));
          }
        }
      }
    }
  }
}

TEST(DispatchPlanTest, GoldenCase) {
  TestContext context;
  // Slots: owner 0 holds experts 1, 2; owner 1 none; owner 2 expert 0.
  const auto placement = *ExpertPlacement::FromTable({2, 0, 0}, 3);
  const TensorView ids = context.Make(DType::kI32, {3, 2}, std::vector<double>{0, 2, 1, -1, 2, 0});
  const DispatchPlan plan = MakeDispatchPlan(context.context(), ids, placement);
  EXPECT_EQ(plan.num_copies, 5);
  EXPECT_EQ(testing_support::ToDoubles(plan.slots), (std::vector<double>{3, 1, 0, -1, 2, 4}));
  EXPECT_EQ(testing_support::ToDoubles(plan.source_rows), (std::vector<double>{1, 0, 2, 0, 2}));
  EXPECT_EQ(testing_support::ToDoubles(plan.rows_per_slot), (std::vector<double>{1, 2, 2}));
}

TEST(DispatchPlanTest, LeavesScratchAsItWas) {
  TestContext context;
  const TensorView ids = context.Zeros(DType::kI32, {5, 1});
  MakeDispatchPlan(context.context(), ids, ExpertPlacement::Contiguous(4, 2));
  EXPECT_EQ(context.context().scratch->mark(), 0u);
}

TEST(DispatchPlanDeathTest, RefusesAnUnknownExpert) {
  TestContext context;
  const TensorView ids = context.Make(DType::kI32, {1, 1}, std::vector<double>{4});
  EXPECT_DEATH(MakeDispatchPlan(context.context(), ids, ExpertPlacement::Contiguous(4, 2)),
               "expert 4 of 4");
}

}  // namespace
}  // namespace equipoise::routing
