#include "core/data/dataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/data/token_writer.h"
#include "tests/core/data/test_files.h"

namespace equipoise {
namespace {

using testing::ExpectError;
using testing::TestFolder;

constexpr int64_t kLength = 8;

// Three domains of one document each; a token of domain d is d * 1000 + its position.
DatasetOptions ThreeDomains(const std::string& folder) {
  DatasetOptions options;
  const int64_t sizes[] = {81, 400, 57};  // 10, 49 and 7 windows
  const double weights[] = {0.5, 0.3, 0.2};
  for (int d = 0; d < 3; ++d) {
    std::vector<int32_t> tokens(sizes[d]);
    for (int64_t i = 0; i < sizes[d]; ++i) tokens[i] = static_cast<int32_t>(d * 1000 + i);
    const std::string path = folder + "d" + std::to_string(d) + ".bin";
    EXPECT_TRUE(WriteNanoGpt(path, tokens).ok());
    options.sources.push_back(
        {"domain" + std::to_string(d), {path}, weights[d], TokenFormat::kNanoGpt});
  }
  options.sequence_length = kLength;
  options.vocab_size = 4000;
  options.seed = 17;
  return options;
}

std::unique_ptr<TokenDataset> OpenOrDie(const DatasetOptions& options) {
  auto dataset = TokenDataset::Open(options);
  EXPECT_TRUE(dataset.ok()) << dataset.status();
  return *std::move(dataset);
}

struct Sample {
  std::vector<int32_t> tokens;
  int domain = -1;
  bool operator==(const Sample& other) const {
    return tokens == other.tokens && domain == other.domain;
  }
};

Sample Get(const TokenDataset& dataset, uint64_t index) {
  Sample sample;
  sample.tokens.resize(dataset.sequence_length() + 1);
  const absl::Status status = dataset.GetSample(index, sample.tokens, &sample.domain);
  EXPECT_TRUE(status.ok()) << status;
  return sample;
}

TEST(TokenDatasetTest, ReportsItsDomains) {
  const auto dataset = OpenOrDie(ThreeDomains(TestFolder()));
  ASSERT_EQ(dataset->num_domains(), 3);
  EXPECT_EQ(dataset->domain_name(1), "domain1");
  EXPECT_EQ(dataset->num_tokens(1), 400);
  EXPECT_EQ(dataset->num_documents(1), 1);
  EXPECT_EQ(dataset->num_windows(0), 10);
  EXPECT_EQ(dataset->num_windows(1), 49);
  EXPECT_EQ(dataset->num_windows(2), 7);
}

TEST(TokenDatasetTest, LabelsMatchTheTokens) {
  const auto dataset = OpenOrDie(ThreeDomains(TestFolder()));
  for (uint64_t i = 0; i < 2000; ++i) {
    const Sample sample = Get(*dataset, i);
    const TokenDataset::Location location = dataset->Locate(i);
    EXPECT_EQ(sample.domain, location.domain);
    for (int64_t s = 0; s <= kLength; ++s) {
      EXPECT_EQ(sample.tokens[s], sample.domain * 1000 + location.window * kLength + s);
    }
  }
}

TEST(TokenDatasetTest, EveryEpochSeesEveryWindowOnce) {
  const auto dataset = OpenOrDie(ThreeDomains(TestFolder()));
  // (domain, epoch) -> windows in the order of the samples
  std::map<std::pair<int, uint64_t>, std::vector<int64_t>> epochs;
  for (uint64_t i = 0; i < 5000; ++i) {
    const TokenDataset::Location location = dataset->Locate(i);
    epochs[{location.domain, location.epoch}].push_back(location.window);
  }
  for (int d = 0; d < 3; ++d) {
    for (uint64_t e = 0; e < 3; ++e) {
      std::vector<int64_t> windows = epochs[{d, e}];
      ASSERT_EQ(static_cast<int64_t>(windows.size()), dataset->num_windows(d));
      std::sort(windows.begin(), windows.end());
      for (size_t w = 0; w < windows.size(); ++w) EXPECT_EQ(windows[w], static_cast<int64_t>(w));
    }
    const std::vector<int64_t>& first = epochs[{d, 0}];
    EXPECT_NE(first, (epochs[{d, 1}])) << "the order changes with the epoch";
    EXPECT_FALSE(std::is_sorted(first.begin(), first.end()));
  }
}

TEST(TokenDatasetTest, SampleDoesNotDependOnWhoAsks) {
  const DatasetOptions options = ThreeDomains(TestFolder());
  const auto reference = OpenOrDie(options);
  constexpr int kSamples = 420;
  std::vector<Sample> expected;
  for (int i = 0; i < kSamples; ++i) expected.push_back(Get(*reference, i));
  for (const int ranks : {1, 2, 3, 4, 7}) {
    std::vector<Sample> found(kSamples);
    std::vector<std::thread> threads;
    for (int rank = 0; rank < ranks; ++rank) {
      threads.emplace_back([&, rank] {
        const auto own = OpenOrDie(options);  // As another process would.
        for (int i = kSamples - 1; i >= 0; --i) {
          if (i % ranks == rank) found[i] = Get(*own, i);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(found, expected) << ranks << " ranks";
  }
}

TEST(TokenDatasetTest, ConcurrentReadsOfOneDataset) {
  const auto dataset = OpenOrDie(ThreeDomains(TestFolder()));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (uint64_t i = 0; i < 500; ++i) {
        const Sample sample = Get(*dataset, i);
        EXPECT_EQ(sample.tokens[0] / 1000, sample.domain);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(TokenDatasetTest, OrderOfADomainIgnoresTheOthers) {
  DatasetOptions options = ThreeDomains(TestFolder());
  const auto all = OpenOrDie(options);
  options.sources = {options.sources[1]};
  const auto alone = OpenOrDie(options);
  uint64_t next = 0;
  for (uint64_t i = 0; i < 500; ++i) {
    const TokenDataset::Location location = all->Locate(i);
    if (location.domain != 1) continue;
    EXPECT_EQ(location.window, alone->Locate(next++).window);
  }
  EXPECT_GT(next, 100u);
}

TEST(TokenDatasetTest, SeedChangesTheOrder) {
  DatasetOptions options = ThreeDomains(TestFolder());
  const auto a = OpenOrDie(options);
  options.seed = 18;
  const auto b = OpenOrDie(options);
  int same = 0;
  for (uint64_t i = 0; i < 300; ++i) same += Get(*a, i) == Get(*b, i);
  EXPECT_LT(same, 60);
}

// A change of these numbers changes every run that resumes: it needs a decision, not an edit.
TEST(TokenDatasetTest, OrderIsPinned) {
  const auto dataset = OpenOrDie(ThreeDomains(TestFolder()));
  std::vector<std::pair<int, int64_t>> found;
  for (uint64_t i = 0; i < 8; ++i) {
    const TokenDataset::Location location = dataset->Locate(i);
    found.emplace_back(location.domain, location.window);
  }
  const std::vector<std::pair<int, int64_t>> kPinned = {{0, 7}, {1, 6},  {2, 5}, {0, 8},
                                                        {0, 4}, {1, 20}, {0, 1}, {1, 17}};
  EXPECT_EQ(found, kPinned);
}

TEST(TokenDatasetTest, HugeIndicesWork) {
  const auto dataset = OpenOrDie(ThreeDomains(TestFolder()));
  for (const uint64_t index : {uint64_t{1} << 40, (uint64_t{1} << 63) - 1}) Get(*dataset, index);
}

TEST(TokenDatasetTest, WindowsSpanDocumentsWithSeparators) {
  const std::string prefix = TestFolder() + "x";
  EQ_ASSERT_OK(WriteByteDocuments(prefix, {{1, 2}, {3}, {4, 5, 6}}));
  DatasetOptions options;
  options.sources = {{"text", {prefix + ".bytes"}}};
  options.sequence_length = 4;
  const auto dataset = OpenOrDie(options);
  ASSERT_EQ(dataset->num_tokens(0), 9);
  ASSERT_EQ(dataset->num_windows(0), 2);
  std::vector<int32_t> tokens(5);
  EQ_ASSERT_OK(dataset->GetWindow(0, 0, tokens));
  EXPECT_EQ(tokens, (std::vector<int32_t>{1, 2, 256, 3, 256}));
  EQ_ASSERT_OK(dataset->GetWindow(0, 1, tokens));
  EXPECT_EQ(tokens, (std::vector<int32_t>{256, 4, 5, 6, 256}));
}

TEST(TokenDatasetTest, CorpusAsShortAsASample) {
  const std::string path = TestFolder() + "x.bin";
  DatasetOptions options;
  options.sources = {{"tiny", {path}, 1.0, TokenFormat::kNanoGpt}};
  options.sequence_length = 4;
  EQ_ASSERT_OK(WriteNanoGpt(path, std::vector<int32_t>{1, 2, 3, 4, 5}));
  EXPECT_EQ(Get(*OpenOrDie(options), 12345).tokens, (std::vector<int32_t>{1, 2, 3, 4, 5}));
  EQ_ASSERT_OK(WriteNanoGpt(path, std::vector<int32_t>{1, 2, 3, 4}));
  ExpectError(TokenDataset::Open(options).status(), absl::StatusCode::kInvalidArgument,
              {"domain 'tiny'", "at least 5 tokens", "found 4", path});
}

TEST(TokenDatasetTest, TokenOutsideTheVocabulary) {
  DatasetOptions options = ThreeDomains(TestFolder());
  options.vocab_size = 2000;  // Domain 2 has tokens from 2000 on.
  const auto dataset = OpenOrDie(options);
  int errors = 0;
  std::vector<int32_t> tokens(kLength + 1);
  for (uint64_t i = 0; i < 100; ++i) {
    int domain = -1;
    const absl::Status status = dataset->GetSample(i, tokens, &domain);
    EXPECT_EQ(status.ok(), domain != 2);
    if (status.ok()) continue;
    ++errors;
    ExpectError(status, absl::StatusCode::kOutOfRange,
                {"domain 'domain2'", "d2.bin", "0 to 1999", "found 20"});
  }
  EXPECT_GT(errors, 0);
}

TEST(TokenDatasetTest, WrongOptionsAreNamed) {
  const DatasetOptions good = ThreeDomains(TestFolder());
  const auto invalid = absl::StatusCode::kInvalidArgument;
  const auto error = [&](auto change) {
    DatasetOptions options = good;
    change(options);
    return TokenDataset::Open(options).status();
  };
  ExpectError(error([](auto& o) { o.sources.clear(); }), invalid, {"at least one source"});
  ExpectError(error([](auto& o) { o.sources[1].domain = ""; }), invalid, {"source 1", "no domain"});
  ExpectError(error([](auto& o) { o.sources[2].domain = "domain0"; }), invalid,
              {"sources 0 and 2", "'domain0'"});
  ExpectError(error([](auto& o) { o.sources[1].paths.clear(); }), invalid,
              {"'domain1'", "at least one path"});
  ExpectError(error([](auto& o) { o.sources[1].paths = {"/none"}; }), absl::StatusCode::kNotFound,
              {"'domain1'", "/none"});
  const double inf = std::numeric_limits<double>::infinity();
  for (const double weight : {0.0, -1.0, inf, std::numeric_limits<double>::quiet_NaN()}) {
    ExpectError(error([&](auto& o) { o.sources[1].weight = weight; }), invalid,
                {"'domain1'", "positive finite weight"});
  }
  for (const int64_t length : {int64_t{0}, int64_t{-3}, INT64_MAX}) {
    ExpectError(error([&](auto& o) { o.sequence_length = length; }), invalid,
                {"sequence length", std::to_string(length)});
  }
  ExpectError(error([](auto& o) { o.vocab_size = 0; }), invalid, {"vocabulary", "found 0"});
  ExpectError(error([](auto& o) { o.separator = 4000; }), invalid, {"separator", "4000"});
}

TEST(ValidationWindowsTest, SequentialAndComplete) {
  const auto dataset = OpenOrDie(ThreeDomains(TestFolder()));
  const ValidationWindows all(dataset.get(), 0);
  ASSERT_EQ(all.size(), 10 + 49 + 7);
  std::vector<int32_t> tokens(kLength + 1);
  std::vector<int64_t> next(3, 0);
  for (int64_t i = 0; i < all.size(); ++i) {
    int domain = -1;
    EQ_ASSERT_OK(all.Get(i, tokens, &domain));
    EXPECT_EQ(domain, all.domain(i));
    EXPECT_EQ(all.window(i), next[domain]);
    EXPECT_EQ(tokens[0], domain * 1000 + next[domain]++ * kLength);
  }
  EXPECT_EQ(next, (std::vector<int64_t>{10, 49, 7}));
}

TEST(ValidationWindowsTest, LimitSpreadsOverTheDomain) {
  DatasetOptions options = ThreeDomains(TestFolder());
  options.seed = 99;  // Plays no part.
  const auto dataset = OpenOrDie(options);
  const ValidationWindows some(dataset.get(), 8);
  ASSERT_EQ(some.size(), 8 + 8 + 7);
  const std::vector<int64_t> expected = {0,  1,  2,  3,  5, 6, 7, 8, 0, 6, 12, 18,
                                         24, 30, 36, 42, 0, 1, 2, 3, 4, 5, 6};
  for (int64_t i = 0; i < some.size(); ++i) EXPECT_EQ(some.window(i), expected[i]) << i;
}

}  // namespace
}  // namespace equipoise
