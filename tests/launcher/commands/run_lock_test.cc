#include "launcher/commands/run_lock.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace equipoise::launcher {
namespace {

TEST(RunLock, OneHolderAtATime) {
  const std::string path = ::testing::TempDir() + "/LOCK";
  {
    const absl::StatusOr<RunLock> first = RunLock::Take(path);
    ASSERT_TRUE(first.ok()) << first.status();
    const absl::StatusOr<RunLock> second = RunLock::Take(path);
    EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition) << second.status();
    EXPECT_TRUE(absl::StrContains(second.status().message(), path)) << second.status();
  }
  EXPECT_TRUE(RunLock::Take(path).ok()) << "the lock outlived its holder";
}

TEST(RunLock, TellsWhetherItIsHeld) {
  const std::string path = ::testing::TempDir() + "/LOCK3";
  EXPECT_EQ(RunLock::IsHeld(path), std::nullopt) << "no such file";
  {
    const absl::StatusOr<RunLock> lock = RunLock::Take(path);
    ASSERT_TRUE(lock.ok());
    EXPECT_EQ(RunLock::IsHeld(path), true);
  }
  EXPECT_EQ(RunLock::IsHeld(path), false);
  EXPECT_TRUE(RunLock::Take(path).ok()) << "asking does not keep it";
}

TEST(RunLock, MovesWithItsHolder) {
  const std::string path = ::testing::TempDir() + "/LOCK2";
  absl::StatusOr<RunLock> first = RunLock::Take(path);
  ASSERT_TRUE(first.ok());
  {
    const RunLock moved = *std::move(first);
    EXPECT_FALSE(RunLock::Take(path).ok());
  }
  EXPECT_TRUE(RunLock::Take(path).ok());
}

TEST(RunLock, NamesAPathThatCannotBeOpened) {
  const absl::StatusOr<RunLock> lock = RunLock::Take("/nonexistent/folder/LOCK");
  EXPECT_TRUE(absl::StrContains(lock.status().message(), "/nonexistent/folder/LOCK"));
}

}  // namespace
}  // namespace equipoise::launcher
