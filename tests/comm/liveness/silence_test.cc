#include "comm/liveness/silence.h"

#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace equipoise::comm {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(500);
using Peers = std::vector<size_t>;

void Tick(Silence& silence, int times) {
  for (int i = 0; i < times; ++i) silence.Tick(kTick);
}

TEST(Silence, LosesAPeerAfterTheLimit) {
  Silence silence(3, absl::Seconds(10), kTick);
  for (size_t peer = 0; peer < 3; ++peer) silence.Heard(peer);
  Tick(silence, 15);
  silence.Heard(0);
  silence.Heard(2);
  Tick(silence, 4);
  EXPECT_EQ(silence.Lost(), Peers());
  EXPECT_EQ(silence.silent_for(1), absl::Milliseconds(9500));
  Tick(silence, 1);
  EXPECT_EQ(silence.Lost(), Peers({1}));
}

TEST(Silence, OneThatWasNeverHeardIsNotLost) {
  Silence silence(2, absl::Seconds(10), kTick);
  silence.Heard(1);
  Tick(silence, 30);
  EXPECT_FALSE(silence.was_heard(0));
  EXPECT_EQ(silence.Lost(), Peers({1}));
}

TEST(Silence, TellsTogetherWhatWasLostTogether) {
  Silence silence(3, absl::Seconds(10), kTick);
  silence.Heard(0);
  Tick(silence, 2);
  silence.Heard(1);
  Tick(silence, 1);
  silence.Heard(2);
  Tick(silence, 17);
  EXPECT_EQ(silence.Lost(), Peers({0, 1}));  // 10 s and 9 s; the third, 8.5 s, may yet be heard
}

TEST(Silence, ATimeInWhichThisProcessWasStoppedCountsAsOneTick) {
  Silence silence(1, absl::Seconds(10), kTick);
  silence.Heard(0);
  silence.Tick(absl::Hours(1));
  EXPECT_EQ(silence.silent_for(0), kTick);
  EXPECT_EQ(silence.Lost(), Peers());
}

}  // namespace
}  // namespace equipoise::comm
