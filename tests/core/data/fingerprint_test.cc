#include "core/data/fingerprint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>

namespace equipoise {
namespace {

using ::testing::ElementsAre;

std::string Folder() {
  const std::string folder =
      ::testing::TempDir() + ::testing::UnitTest::GetInstance()->current_test_info()->name() + "/";
  std::filesystem::create_directories(folder);
  return folder;
}

std::string Write(const std::string& name, const std::string& text) {
  const std::string path = Folder() + name;
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

std::vector<DomainFingerprint> Take(const std::vector<DataSource>& sources) {
  DatasetOptions options;
  options.sources = sources;
  options.sequence_length = 4;
  const auto data = TokenDataset::Open(options);
  EXPECT_TRUE(data.ok()) << data.status();
  const auto fingerprint = FingerprintOf(**data);
  EXPECT_TRUE(fingerprint.ok()) << fingerprint.status();
  return *fingerprint;
}

DataSource Source(const std::string& domain, const std::vector<std::string>& paths) {
  return {domain, paths, 1.0, TokenFormat::kBytes};
}

std::string Text(size_t size) {
  std::string text;
  for (size_t i = 0; i < size; ++i) text += static_cast<char>('a' + i * i % 23);
  return text;
}

TEST(Fingerprint, SaysNothingOfWhereTheFilesLie) {
  for (const size_t size : {5UL, 1023UL, 1024UL, 1025UL, 16383UL, 100'003UL}) {
    const auto first = Take({Source("a", {Write("first", Text(size))})});
    const auto second = Take({Source("a", {Write("second", Text(size))})});
    EXPECT_THAT(DifferencesOf(first, second), ElementsAre()) << size;
    EXPECT_EQ(first[0].tokens, static_cast<int64_t>(size) + 1);
    EXPECT_EQ(first[0].documents, 1);
  }
}

TEST(Fingerprint, SeesEveryTokenOfAShortTextAndBothEndsOfALongOne) {
  for (const size_t size : {1024UL * 15, 1'000'000UL}) {
    const auto before = Take({Source("a", {Write("before", Text(size))})});
    const bool is_short = size < 1024 * 16;
    for (size_t at = 0; at < size; at += is_short ? 101 : size - 1) {
      std::string text = Text(size);
      text[at] = '!';
      EXPECT_THAT(DifferencesOf(before, Take({Source("a", {Write("after", text)})})),
                  ElementsAre("domain 'a' has as many tokens, but others"))
          << at;
    }
  }
}

TEST(Fingerprint, DifferencesAreNamed) {
  const std::string path = Write("text", Text(1000));
  const std::string longer = Write("longer", Text(1007));
  EXPECT_THAT(
      DifferencesOf(Take({Source("a", {path}), Source("b", {path})}),
                    Take({Source("b", {longer}), Source("c", {path})})),
      ElementsAre("domain 'a' is missing here", "domain 'b' has 1001 tokens there and 1008 here",
                  "domain 'c' is new here"));
}

// A hole reads as zeros and needs no disk, but every page that is touched costs what it costs.
TEST(Fingerprint, TakesNoLongerForAHundredGigabytes) {
  const std::string path = Write("huge", "");
  std::error_code error;
  std::filesystem::resize_file(path, uintmax_t{100} << 30, error);
  if (error) {
    GTEST_SKIP() << "this file system has no holes of that size: " << error.message();
  }
  DatasetOptions options;
  options.sources = {Source("a", {path})};
  options.sequence_length = 4;
  const auto data = TokenDataset::Open(options);
  ASSERT_TRUE(data.ok()) << data.status();
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(FingerprintOf(**data).ok());
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf("fingerprint of 100 GiB: %.2f ms\n", 1e3 * seconds);
  EXPECT_LT(seconds, 5.0) << "read more than a sample";
}

}  // namespace
}  // namespace equipoise
