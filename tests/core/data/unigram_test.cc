#include "core/data/unigram.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/data/token_writer.h"
#include "tests/core/data/test_files.h"

namespace equipoise {
namespace {

using testing::TestFolder;

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();

TEST(UnigramTest, EntropyOfKnownDistributions) {
  EXPECT_EQ(EntropyNats({}), 0.0);
  EXPECT_EQ(EntropyNats(std::vector<int64_t>{0, 0}), 0.0);
  EXPECT_EQ(EntropyNats(std::vector<int64_t>{0, 5, 0}), 0.0);
  // n equal terms of log(n) / n: n additions of relative error epsilon.
  for (const int n : {2, 3, 256, 1009}) {
    EXPECT_NEAR(EntropyNats(std::vector<int64_t>(n, 7)), std::log(n), n * kEpsilon * std::log(n));
  }
  // 1/2, 1/4, 1/4: 1.5 bits.
  const UnigramStats stats{{}, 0, EntropyNats(std::vector<int64_t>{200, 100, 100})};
  EXPECT_NEAR(stats.entropy_bits(), 1.5, 8 * kEpsilon);
}

TEST(UnigramTest, CountsStreamAndWindows) {
  const std::string path = TestFolder() + "x.bin";
  // 150,001 tokens: more than two chunks; 0, 1, 2, 0, 1, 2, ...
  std::vector<int32_t> tokens(150001);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(i % 3);
  EQ_ASSERT_OK(WriteNanoGpt(path, tokens));
  DatasetOptions options;
  options.sources = {{"thirds", {path}, 1.0, TokenFormat::kNanoGpt}};
  options.sequence_length = 300;
  options.vocab_size = 5;
  options.separator = 4;
  const auto dataset = TokenDataset::Open(options);
  EQ_ASSERT_OK(dataset.status());
  const auto stream = CountUnigrams(**dataset, 0);
  EQ_ASSERT_OK(stream.status());
  EXPECT_EQ(stream->counts, (std::vector<int64_t>{50001, 50000, 50000, 0, 0}));
  EXPECT_EQ(stream->total, 150001);
  EXPECT_EQ(stream->entropy_nats, EntropyNats(stream->counts));

  const ValidationWindows windows(dataset->get(), 10);
  const auto targets = CountUnigrams(windows, **dataset, 0);
  EQ_ASSERT_OK(targets.status());
  EXPECT_EQ(targets->counts, (std::vector<int64_t>{1000, 1000, 1000, 0, 0}));
  EXPECT_NEAR(targets->entropy_bits(), std::log2(3.0), 16 * kEpsilon);
}

TEST(UnigramTest, PassesReadErrorsOn) {
  const std::string path = TestFolder() + "x.bin";
  EQ_ASSERT_OK(WriteNanoGpt(path, std::vector<int32_t>{0, 1, 2, 3, 9}));
  DatasetOptions options;
  options.sources = {{"bad", {path}, 1.0, TokenFormat::kNanoGpt}};
  options.sequence_length = 2;
  options.vocab_size = 5;
  options.separator = 4;
  const auto dataset = TokenDataset::Open(options);
  EQ_ASSERT_OK(dataset.status());
  EXPECT_EQ(CountUnigrams(**dataset, 0).status().code(), absl::StatusCode::kOutOfRange);
  const ValidationWindows windows(dataset->get(), 0);
  EXPECT_EQ(CountUnigrams(windows, **dataset, 0).status().code(), absl::StatusCode::kOutOfRange);
}

}  // namespace
}  // namespace equipoise
