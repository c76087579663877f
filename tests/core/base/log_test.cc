#include "core/base/log.h"

#include <cstdio>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace equipoise {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

std::string TestPath() {
  return ::testing::TempDir() + "/" +
         ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".log";
}

std::vector<std::string> ReadLines(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

constexpr char kTime[] = "[0-9]+-[0-9]+-[0-9]+T[0-9]+:[0-9]+:[0-9]+Z";

TEST(LoggerTest, WritesLevelRankAndText) {
  const std::string path = TestPath();
  {
    Logger log(3, std::fopen(path.c_str(), "w"), LogLevel::kError);
    log.Info("started");
    log.Warning("slow");
    log.Error("lost");
  }
  const auto lines = ReadLines(path);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_THAT(lines[0], MatchesRegex(std::string(kTime) + " I rank 3 . started"));
  EXPECT_THAT(lines[1], MatchesRegex(std::string(kTime) + " W rank 3 . slow"));
  EXPECT_THAT(lines[2], MatchesRegex(std::string(kTime) + " E rank 3 . lost"));
}

TEST(LoggerTest, ConsoleGetsWhatIsAtOrAboveItsLevel) {
  ::testing::internal::CaptureStderr();
  Logger log(0, nullptr, LogLevel::kWarning);
  log.Info("quiet");
  log.Warning("loud");
  log.Error("louder");
  const std::string console = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(console, Not(HasSubstr("quiet")));
  EXPECT_THAT(console, HasSubstr("W rank 0 | loud\n"));
  EXPECT_THAT(console, HasSubstr("E rank 0 | louder\n"));
}

TEST(LoggerTest, LinesOfConcurrentThreadsStayWhole) {
  const std::string path = TestPath();
  constexpr int kThreads = 4, kLines = 50;
  {
    Logger log(1, std::fopen(path.c_str(), "w"), LogLevel::kError);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&log, t] {
        for (int i = 0; i < kLines; ++i) log.Info(std::string(200, static_cast<char>('a' + t)));
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  const auto lines = ReadLines(path);
  EXPECT_EQ(lines.size(), static_cast<size_t>(kThreads * kLines));
  for (const std::string& line : lines) {
    EXPECT_EQ(line.substr(line.size() - 200), std::string(200, line.back())) << line;
  }
}

}  // namespace
}  // namespace equipoise
