#include "launcher/commands/stop_signals.h"

#include <csignal>

#include "gtest/gtest.h"

namespace equipoise::launcher {
namespace {

TEST(StopSignals, NotesTheFirst) {
  const StopSignals signals;
  EXPECT_EQ(signals.first(), 0);
  raise(SIGUSR1);
  EXPECT_EQ(signals.first(), SIGUSR1);
  EXPECT_STREQ(StopSignals::Name(signals.first()), "SIGUSR1");
}

TEST(StopSignals, BeginsAnewAndRestoresWhatWas) {
  {
    const StopSignals signals;
    raise(SIGTERM);
    EXPECT_EQ(signals.first(), SIGTERM);
  }
  {
    const StopSignals signals;
    EXPECT_EQ(signals.first(), 0);
  }
  EXPECT_EXIT(raise(SIGTERM), ::testing::KilledBySignal(SIGTERM), "");
}

TEST(StopSignals, TheSecondEndsTheProcess) {
  const auto ask_twice = [](int first, int second) {
    const StopSignals signals;
    raise(first);
    raise(second);
  };
  EXPECT_EXIT(ask_twice(SIGTERM, SIGTERM), ::testing::KilledBySignal(SIGTERM), "");
  EXPECT_EXIT(ask_twice(SIGTERM, SIGINT), ::testing::KilledBySignal(SIGINT), "");
}

}  // namespace
}  // namespace equipoise::launcher
