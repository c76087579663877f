// Damaged token files: whatever the bytes are, opening and reading gives a Status or tokens that
// are in the vocabulary, and never touches memory outside the mapping (run it under ASan).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "core/base/rng.h"
#include "core/data/token_file.h"
#include "core/data/token_formats.h"
#include "core/data/token_writer.h"
#include "tests/core/data/test_files.h"

namespace equipoise {
namespace {

using testing::ExpectError;
using testing::ReadText;
using testing::TestFolder;
using testing::WriteText;

constexpr int64_t kVocab = 300;

std::span<const std::byte> Bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

TokenDocuments Documents() { return {{1, 2, 3}, {4}, {5, 6, 7, 8, 9}, {}, {10, 11}}; }

// Overwrites the value at `offset`.
template <typename T>
std::string Patched(std::string bytes, size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof(T));
  return bytes;
}

// The layout's promise: documents ascend from 0 to num_tokens, and the tokens lie in the file.
void ExpectSafe(const TokenLayout& layout, int64_t data_bytes) {
  ASSERT_GE(layout.document_begin.size(), layout.num_tokens == 0 ? 1u : 2u);
  EXPECT_EQ(layout.document_begin.front(), 0);
  EXPECT_EQ(layout.document_begin.back(), layout.num_tokens);
  EXPECT_TRUE(std::is_sorted(layout.document_begin.begin(), layout.document_begin.end()));
  EXPECT_LE(layout.data_offset + layout.num_tokens * TokenTypeSize(layout.type), data_bytes);
}

struct MegatronFiles {
  std::string index;
  int64_t data_bytes;
};

MegatronFiles WriteSample() {
  const std::string prefix = TestFolder() + "x";
  EXPECT_TRUE(WriteMegatron(prefix, Documents(), TokenType::kU16).ok());
  return {ReadText(prefix + ".idx"), static_cast<int64_t>(ReadText(prefix + ".bin").size())};
}

absl::StatusOr<TokenLayout> ParseIndex(const std::string& index, int64_t data_bytes) {
  return ParseMegatronIndex("x.idx", Bytes(index), "x.bin", data_bytes);
}

TEST(TokenDamageTest, EveryTruncationOfTheIndexIsAnError) {
  const MegatronFiles files = WriteSample();
  ASSERT_TRUE(ParseIndex(files.index, files.data_bytes).ok());
  for (size_t size = 0; size < files.index.size(); ++size) {
    // A heap copy of just that size, so that ASan sees a read past it.
    const std::vector<char> cut(files.index.begin(), files.index.begin() + size);
    const auto layout =
        ParseMegatronIndex("x.idx", std::as_bytes(std::span(cut)), "x.bin", files.data_bytes);
    ASSERT_FALSE(layout.ok()) << "cut to " << size << " of " << files.index.size();
    ExpectError(layout.status(), absl::StatusCode::kDataLoss,
                {"x.idx: at byte ", "expected", "found", "tokenize again"});
  }
}

TEST(TokenDamageTest, EveryOtherSizeOfTheDataIsAnError) {
  const MegatronFiles files = WriteSample();
  for (int64_t bytes = 0; bytes < 2 * files.data_bytes; ++bytes) {
    if (bytes == files.data_bytes) continue;
    const auto layout = ParseIndex(files.index, bytes);
    ASSERT_FALSE(layout.ok()) << bytes;
    ExpectError(layout.status(), absl::StatusCode::kDataLoss, {"at byte ", "expected", "found"});
  }
}

TEST(TokenDamageTest, HostileIndexFieldsAreNamed) {
  const MegatronFiles files = WriteSample();
  const std::string& good = files.index;
  const size_t pointers = 34 + 4 * 5;
  const size_t boundaries = pointers + 8 * 5;
  const struct {
    std::string index;
    absl::StatusCode code;
    std::string message;
  } kCases[] = {
      {Patched(good, 0, 'N'), absl::StatusCode::kDataLoss, "at byte 0: expected the magic"},
      {Patched<uint64_t>(good, 9, 2), absl::StatusCode::kDataLoss, "at byte 9: expected version 1"},
      {Patched<uint8_t>(good, 17, 0), absl::StatusCode::kDataLoss, "at byte 17"},
      {Patched<uint8_t>(good, 17, 9), absl::StatusCode::kDataLoss, "at byte 17"},
      {Patched<uint8_t>(good, 17, 7), absl::StatusCode::kInvalidArgument, "floating point"},
      {Patched<uint8_t>(good, 17, 4), absl::StatusCode::kDataLoss, "at byte "},
      {Patched<uint64_t>(good, 18, UINT64_MAX), absl::StatusCode::kDataLoss, "at byte 18"},
      {Patched<uint64_t>(good, 18, UINT64_MAX / 12 + 2), absl::StatusCode::kDataLoss, "at byte 18"},
      {Patched<uint64_t>(good, 18, uint64_t{1} << 62), absl::StatusCode::kDataLoss, "at byte 18"},
      {Patched<uint64_t>(good, 26, UINT64_MAX / 8 + 7), absl::StatusCode::kDataLoss, "at byte 26"},
      {Patched<uint64_t>(good, 26, 0), absl::StatusCode::kDataLoss, "at byte 26"},
      {Patched<uint64_t>(good, 26, 1), absl::StatusCode::kDataLoss, "at byte 26"},
      {Patched<int32_t>(good, 34, -1), absl::StatusCode::kDataLoss, "at byte 34: sequence 0"},
      {Patched<int32_t>(good, 38, INT32_MAX), absl::StatusCode::kDataLoss, "at byte 38"},
      {Patched<int64_t>(good, pointers + 8, INT64_MIN), absl::StatusCode::kDataLoss, "sequence 1"},
      {Patched<int64_t>(good, pointers + 8, 5), absl::StatusCode::kDataLoss, "expected the byte"},
      {Patched<int64_t>(good, boundaries, 1), absl::StatusCode::kDataLoss, "boundary 0"},
      {Patched<int64_t>(good, boundaries + 8, -1), absl::StatusCode::kDataLoss, "boundary 1"},
      {Patched<int64_t>(good, boundaries + 8, 6), absl::StatusCode::kDataLoss, "boundary 1"},
      {Patched<int64_t>(good, boundaries + 40, 4), absl::StatusCode::kDataLoss, "boundary 5"},
  };
  for (const auto& test : kCases) {
    SCOPED_TRACE(test.message);
    const auto layout = ParseIndex(test.index, files.data_bytes);
    ASSERT_FALSE(layout.ok());
    ExpectError(layout.status(), test.code, {"x.idx: ", test.message});
  }
}

TEST(TokenDamageTest, NoDocumentForSomeTokensIsAnError) {
  // One boundary would mean no document: reads that look for one must never start.
  const MegatronFiles files = WriteSample();
  std::string index = Patched<uint64_t>(files.index, 26, 1);
  index.resize(34 + 12 * 5);
  index += std::string(1, 5) + std::string(7, '\0');
  ExpectError(ParseIndex(index, files.data_bytes).status(), absl::StatusCode::kDataLoss,
              {"at byte 26", "at least 2"});
  const std::string docs =
      "EQDOCS1\n" + std::string(8, '\0') + std::string(1, 9) + std::string(7, '\0');
  ExpectError(ParseByteDocuments("x.docs", Bytes(docs), "x.bytes", 9).status(),
              absl::StatusCode::kDataLoss, {"at byte 8"});
}

TEST(TokenDamageTest, RandomDamageIsCaughtOrSafe) {
  const MegatronFiles files = WriteSample();
  const Philox random(StreamKey(7, "damage"));
  for (uint64_t trial = 0; trial < 20000; ++trial) {
    std::string index = files.index;
    const int changes = 1 + static_cast<int>(random.Below(3, trial, 1));
    for (int c = 0; c < changes; ++c) {
      const uint64_t at = random.Below(index.size(), trial, 10 + c);
      index[at] = static_cast<char>(random.Below(256, trial, 20 + c));
    }
    const auto layout = ParseIndex(index, files.data_bytes);
    if (layout.ok()) ExpectSafe(*layout, files.data_bytes);
  }
}

TEST(TokenDamageTest, EveryTruncationOfByteOffsetsIsAnError) {
  const std::string prefix = TestFolder() + "x";
  EQ_ASSERT_OK(WriteByteDocuments(prefix, Documents()));
  const std::string docs = ReadText(prefix + ".docs");
  const int64_t data_bytes = static_cast<int64_t>(ReadText(prefix + ".bytes").size());
  const auto parse = [&](const std::string& bytes, int64_t size) {
    return ParseByteDocuments("x.docs", Bytes(bytes), "x.bytes", size);
  };
  ASSERT_TRUE(parse(docs, data_bytes).ok());
  for (size_t size = 0; size < docs.size(); ++size) {
    ExpectError(parse(docs.substr(0, size), data_bytes).status(), absl::StatusCode::kDataLoss,
                {"x.docs: at byte ", "expected", "found", "build the corpus again"});
  }
  for (int64_t size = 0; size < 2 * data_bytes; ++size) {
    EXPECT_EQ(parse(docs, size).ok(), size == data_bytes) << size;
  }
  const Philox random(StreamKey(8, "damage"));
  for (uint64_t trial = 0; trial < 20000; ++trial) {
    std::string damaged = docs;
    damaged[random.Below(docs.size(), trial, 1)] = static_cast<char>(random.Below(256, trial, 2));
    const auto layout = parse(damaged, data_bytes);
    if (layout.ok()) ExpectSafe(*layout, data_bytes);
  }
}

// Any prefix of a file either cannot be opened, or gives exactly its own tokens.
void ExpectTruncationsSafe(const std::string& path, TokenFormat format) {
  const std::string whole = ReadText(path);
  for (size_t size = 0; size <= whole.size(); size = size < 16 ? size + 1 : size + 7) {
    WriteText(path, whole.substr(0, size));
    const auto file = TokenFile::Open(path, {format, kVocab});
    if (!file.ok()) {
      EXPECT_NE(std::string(file.status().message()).find(path), std::string::npos);
      continue;
    }
    std::vector<int32_t> tokens((*file)->num_tokens());
    if ((*file)->ReadTokens(0, tokens).ok()) {
      for (const int32_t token : tokens) EXPECT_TRUE(token >= 0 && token < kVocab) << token;
    }
  }
}

TEST(TokenDamageTest, TruncatedFilesOfEveryFormat) {
  const std::string folder = TestFolder();
  std::vector<int32_t> tokens(101);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(i * 7 % kVocab);
  EQ_ASSERT_OK(WriteLlmC(folder + "l.bin", tokens, TokenType::kU16));
  ExpectTruncationsSafe(folder + "l.bin", TokenFormat::kAuto);
  EQ_ASSERT_OK(WriteLlmC(folder + "m.bin", tokens, TokenType::kU32));
  ExpectTruncationsSafe(folder + "m.bin", TokenFormat::kLlmC);
  EQ_ASSERT_OK(WriteNanoGpt(folder + "n.bin", tokens));
  ExpectTruncationsSafe(folder + "n.bin", TokenFormat::kAuto);
  WriteText(folder + "t.txt", "Some text, äöü, that may be cut anywhere.");
  ExpectTruncationsSafe(folder + "t.txt", TokenFormat::kBytes);
}

TEST(TokenDamageTest, TruncatedLlmCShardsAreAllErrors) {
  const std::string path = TestFolder() + "l.bin";
  EQ_ASSERT_OK(WriteLlmC(path, std::vector<int32_t>{1, 2, 3}, TokenType::kU16));
  const std::string whole = ReadText(path);
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(ParseLlmCShard(path, Bytes(whole.substr(0, size))).ok()) << size;
  }
  EXPECT_FALSE(ParseLlmCShard(path, Bytes(whole + "x")).ok());
  EXPECT_FALSE(ParseLlmCShard(path, Bytes(Patched<int32_t>(whole, 8, -1))).ok());
  EXPECT_FALSE(ParseLlmCShard(path, Bytes(Patched<int32_t>(whole, 8, INT32_MAX))).ok());
}

TEST(TokenDamageTest, OddNanoGptFile) {
  ExpectError(ParseNanoGpt("x.bin", 7).status(), absl::StatusCode::kDataLoss,
              {"x.bin", "even number of bytes, found 7", "set the format to bytes"});
}

}  // namespace
}  // namespace equipoise
