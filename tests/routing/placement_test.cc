#include "routing/placement.h"

#include <algorithm>
#include <vector>

#include "gtest/gtest.h"

namespace equipoise::routing {
namespace {

void ExpectConsistent(const ExpertPlacement& placement) {
  int slot = 0;
  for (int owner = 0; owner < placement.num_owners(); ++owner) {
    EXPECT_EQ(placement.first_slot(owner), slot);
    const auto experts = placement.experts_of(owner);
    EXPECT_EQ(static_cast<int>(experts.size()), placement.num_experts_of(owner));
    EXPECT_TRUE(std::is_sorted(experts.begin(), experts.end()));
    for (const int expert : experts) {
      EXPECT_EQ(placement.owner_of(expert), owner);
      EXPECT_EQ(placement.slot_of(expert), slot);
      EXPECT_EQ(placement.expert_at(slot), expert);
      ++slot;
    }
  }
  EXPECT_EQ(slot, placement.num_experts());
  EXPECT_EQ(placement.first_slot(placement.num_owners()), slot);
}

TEST(ExpertPlacementTest, ContiguousIsEvenAndInOrder) {
  for (const int experts : {1, 2, 7, 8, 128}) {
    for (const int owners : {1, 2, 3, 7, 8, 13}) {
      SCOPED_TRACE(::testing::Message() << experts << " experts on " << owners << " owners");
      const auto placement = ExpertPlacement::Contiguous(experts, owners);
      EXPECT_EQ(placement.num_experts(), experts);
      EXPECT_EQ(placement.num_owners(), owners);
      ExpectConsistent(placement);
      for (int expert = 0; expert < experts; ++expert) EXPECT_EQ(placement.slot_of(expert), expert);
      for (int owner = 1; owner < owners; ++owner) {
        EXPECT_LE(placement.num_experts_of(owner), placement.num_experts_of(owner - 1));
      }
      EXPECT_LE(placement.num_experts_of(0) - placement.num_experts_of(owners - 1), 1);
    }
  }
}

TEST(ExpertPlacementTest, EightOnThreeAreThreeThreeTwo) {
  const auto placement = ExpertPlacement::Contiguous(8, 3);
  EXPECT_EQ(placement.num_experts_of(0), 3);
  EXPECT_EQ(placement.num_experts_of(1), 3);
  EXPECT_EQ(placement.num_experts_of(2), 2);
}

TEST(ExpertPlacementTest, TableMayLeaveOwnersEmpty) {
  const auto placement = ExpertPlacement::FromTable({3, 0, 3, 1, 0, 3}, 5);
  ASSERT_TRUE(placement.ok());
  ExpectConsistent(*placement);
  EXPECT_EQ(placement->num_experts_of(2), 0);
  EXPECT_EQ(placement->num_experts_of(4), 0);
  const auto last = placement->experts_of(3);
  EXPECT_EQ(std::vector<int>(last.begin(), last.end()), (std::vector<int>{0, 2, 5}));
}

TEST(ExpertPlacementTest, TableIsChecked) {
  EXPECT_EQ(ExpertPlacement::FromTable({0, 1, 4}, 3).status().message(),
            "expert 2 is placed on owner 4, not in [0, 3)");
  EXPECT_EQ(ExpertPlacement::FromTable({0, -1}, 3).status().message(),
            "expert 1 is placed on owner -1, not in [0, 3)");
  EXPECT_FALSE(ExpertPlacement::FromTable({}, 3).ok());
  EXPECT_FALSE(ExpertPlacement::FromTable({0}, 0).ok());
}

}  // namespace
}  // namespace equipoise::routing
