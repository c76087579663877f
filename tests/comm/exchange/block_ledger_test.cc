// Blocks never overlap, wherever they come from and in whatever order they are given back.

#include "comm/exchange/block_ledger.h"

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/rng.h"
#include "gtest/gtest.h"

namespace equipoise::comm {
namespace {

constexpr size_t kRanks = 3;
using Places = BlockLedger::Places;

bool Overlap(const BlockLedger::Place& a, const BlockLedger::Place& b) {
  return a.slab == b.slab && a.begin < b.end && b.begin < a.end;
}

void ExpectApart(const std::vector<Places>& taken) {
  for (size_t i = 0; i < taken.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      for (size_t rank = 0; rank < kRanks; ++rank) {
        EXPECT_FALSE(Overlap(taken[i][rank], taken[j][rank])) << i << ", " << j << " of " << rank;
      }
    }
  }
}

TEST(BlockLedger, GivesPlacesApartAndAlikeAndGetsAllBack) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Philox random(StreamKey(seed, "blocks"));
    BlockLedger ledger(kRanks), twin(kRanks);
    std::vector<Places> taken;
    uint64_t draw = 0;
    for (int step = 0; step < 200; ++step) {
      if (random.Below(3, draw++) == 0 && !taken.empty()) {
        const auto which = static_cast<std::ptrdiff_t>(random.Below(taken.size(), draw++));
        ledger.GiveBack(taken[static_cast<size_t>(which)]);
        twin.GiveBack(taken[static_cast<size_t>(which)]);
        taken.erase(taken.begin() + which);
        continue;
      }
      std::vector<size_t> bytes;
      for (size_t rank = 0; rank < kRanks; ++rank) bytes.push_back(random.Below(50, draw++));
      std::optional<Places> places = ledger.Take(bytes);
      if (!places.has_value()) {
        EXPECT_FALSE(twin.Take(bytes).has_value());
        const std::vector<size_t> slab = {60, 70, 80};
        ledger.AddSlab(slab);
        twin.AddSlab(slab);
        places = ledger.Take(bytes);
        ASSERT_TRUE(places.has_value());
      }
      EXPECT_TRUE(twin.Take(bytes).has_value());
      for (size_t rank = 0; rank < kRanks; ++rank) EXPECT_EQ((*places)[rank].size(), bytes[rank]);
      taken.push_back(*places);
      ExpectApart(taken);
    }
    for (const Places& places : taken) ledger.GiveBack(places);
    EXPECT_TRUE(ledger.empty());
    // All is in one piece again: every slab can be had whole.
    for (size_t slab = 0; slab < ledger.num_slabs(); ++slab) {
      EXPECT_TRUE(ledger.Take(std::vector<size_t>{60, 70, 80}).has_value());
    }
    EXPECT_FALSE(ledger.Take(std::vector<size_t>{0, 1, 0}).has_value());
    EXPECT_EQ(ledger.capacity(1), 70 * ledger.num_slabs());
    EXPECT_EQ(ledger.high_water(2), 80 * ledger.num_slabs());
  }
}

TEST(BlockLedger, NothingNeedsNoRoom) {
  BlockLedger ledger(2);
  const std::optional<Places> none = ledger.Take(std::vector<size_t>{0, 0});
  ASSERT_TRUE(none.has_value());
  EXPECT_FALSE(ledger.empty());
  EXPECT_FALSE(ledger.Take(std::vector<size_t>{0, 1}).has_value());
  ledger.GiveBack(*none);
  EXPECT_TRUE(ledger.empty());
  ledger.RemoveSlabs();
  EXPECT_EQ(ledger.num_slabs(), 0U);
}

}  // namespace
}  // namespace equipoise::comm
