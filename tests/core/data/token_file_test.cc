#include "core/data/token_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "core/data/token_formats.h"
#include "core/data/token_writer.h"
#include "tests/core/data/test_files.h"

namespace equipoise {
namespace {

using testing::ExpectError;
using testing::ReadText;
using testing::TestFolder;
using testing::WriteText;

std::vector<int32_t> ReadAll(const TokenFile& file) {
  std::vector<int32_t> tokens(file.num_tokens());
  const absl::Status status = file.ReadTokens(0, tokens);
  EXPECT_TRUE(status.ok()) << status;
  return tokens;
}

// Documents of lengths 3, 0, 1 and 7; token values differ everywhere and stay below 100.
TokenDocuments SmallDocuments() {
  TokenDocuments documents;
  int32_t next = 1;
  for (const int length : {3, 0, 1, 7}) {
    std::vector<int32_t> document(length);
    std::iota(document.begin(), document.end(), next);
    next += length + 20;
    documents.push_back(std::move(document));
  }
  return documents;
}

std::vector<int32_t> Flat(const TokenDocuments& documents) {
  std::vector<int32_t> flat;
  for (const auto& document : documents) flat.insert(flat.end(), document.begin(), document.end());
  return flat;
}

void ExpectHolds(const TokenFile& file, const TokenDocuments& documents) {
  EXPECT_EQ(ReadAll(file), Flat(documents));
  ASSERT_EQ(file.num_documents(), static_cast<int64_t>(documents.size()));
  EXPECT_TRUE(file.has_documents());
  int64_t begin = 0;
  for (size_t d = 0; d < documents.size(); ++d) {
    EXPECT_EQ(file.document(d).begin, begin) << "document " << d;
    begin += static_cast<int64_t>(documents[d].size());
    EXPECT_EQ(file.document(d).end, begin) << "document " << d;
  }
}

TEST(TokenFileTest, MegatronRoundTripInEveryType) {
  const std::string prefix = TestFolder() + "x";
  for (const TokenType type : {TokenType::kU8, TokenType::kI8, TokenType::kI16, TokenType::kI32,
                               TokenType::kI64, TokenType::kU16}) {
    SCOPED_TRACE(static_cast<int>(type));
    EQ_ASSERT_OK(WriteMegatron(prefix, SmallDocuments(), type));
    for (const char* suffix : {"", ".bin", ".idx"}) {
      const auto file = TokenFile::Open(prefix + suffix, {TokenFormat::kAuto, 100});
      EQ_ASSERT_OK(file.status());
      EXPECT_EQ((*file)->format(), TokenFormat::kMegatron);
      EXPECT_EQ((*file)->path(), prefix + ".bin");
      ExpectHolds(**file, SmallDocuments());
    }
  }
}

TEST(TokenFileTest, MegatronModesAtTheEndAreAccepted) {
  const std::string prefix = TestFolder() + "x";
  EQ_ASSERT_OK(WriteMegatron(prefix, SmallDocuments(), TokenType::kU16));
  WriteText(prefix + ".idx", ReadText(prefix + ".idx") + std::string(4, '\0'));
  const auto file = TokenFile::Open(prefix, {TokenFormat::kMegatron, 100});
  EQ_ASSERT_OK(file.status());
  ExpectHolds(**file, SmallDocuments());
}

TEST(TokenFileTest, MegatronDocumentsOfSeveralSequences) {
  const std::string prefix = TestFolder() + "x";
  EQ_ASSERT_OK(WriteMegatron(prefix, {{1, 2}, {3}, {4, 5, 6}}, TokenType::kU16));
  std::string index = ReadText(prefix + ".idx");
  // Boundaries 0 1 2 3 become 0 2 3: the first two sequences are one document.
  index[26] = 3;
  index.resize(34 + 3 * 12);
  for (const char boundary : {0, 2, 3}) index += std::string(1, boundary) + std::string(7, '\0');
  WriteText(prefix + ".idx", index);
  const auto file = TokenFile::Open(prefix, {TokenFormat::kAuto, 100});
  EQ_ASSERT_OK(file.status());
  ExpectHolds(**file, {{1, 2, 3}, {4, 5, 6}});
}

// Written by launcher/tokenize.py --tokenizer bytes (tests/launcher/corpus/tokenize_test.py).
TEST(TokenFileTest, ReadsWhatTokenizePyWrote) {
  const auto file =
      TokenFile::Open("tests/core/data/testdata/tokenized", {TokenFormat::kAuto, 257});
  EQ_ASSERT_OK(file.status());
  TokenDocuments expected;
  for (const std::string text : {"First document.\n", "Zweites, größer.\n", ""}) {
    expected.emplace_back();
    for (const char c : text) expected.back().push_back(static_cast<uint8_t>(c));
    expected.back().push_back(256);
  }
  ExpectHolds(**file, expected);
}

TEST(TokenFileTest, LlmCRoundTrip) {
  const std::string path = TestFolder() + "x_train_000.bin";
  for (const auto& [type, top] : {std::pair{TokenType::kU16, 65535}, {TokenType::kU32, 128255}}) {
    const std::vector<int32_t> tokens = {0, 1, 77, top, 5};
    EQ_ASSERT_OK(WriteLlmC(path, tokens, type));
    const auto file = TokenFile::Open(path, {TokenFormat::kAuto, 128256});
    EQ_ASSERT_OK(file.status());
    EXPECT_EQ((*file)->format(), TokenFormat::kLlmC);
    EXPECT_FALSE((*file)->has_documents());
    EXPECT_EQ((*file)->num_documents(), 1);
    EXPECT_EQ(ReadAll(**file), tokens);
  }
}

TEST(TokenFileTest, NanoGptRoundTrip) {
  const std::string path = TestFolder() + "train.bin";
  const std::vector<int32_t> tokens = {464, 3290, 318, 257, 13, 50256, 0};
  EQ_ASSERT_OK(WriteNanoGpt(path, tokens));
  const auto file = TokenFile::Open(path, {TokenFormat::kAuto, 50257});
  EQ_ASSERT_OK(file.status());
  EXPECT_EQ((*file)->format(), TokenFormat::kNanoGpt);
  EXPECT_FALSE((*file)->has_documents());
  EXPECT_EQ(ReadAll(**file), tokens);
}

TEST(TokenFileTest, ByteDocumentsRoundTrip) {
  const std::string prefix = TestFolder() + "x";
  EQ_ASSERT_OK(WriteByteDocuments(prefix, SmallDocuments()));
  const auto file = TokenFile::Open(prefix + ".bytes", {TokenFormat::kAuto, kByteVocabSize});
  EQ_ASSERT_OK(file.status());
  EXPECT_EQ((*file)->format(), TokenFormat::kBytes);
  ExpectHolds(**file, SmallDocuments());
}

TEST(TokenFileTest, PlainTextNeedsNoPreparation) {
  const std::string path = TestFolder() + "notes.txt";
  WriteText(path, "Grüße\n\tfrom Δελφοί 🙂\n");
  const auto file = TokenFile::Open(path, {TokenFormat::kAuto, kByteVocabSize});
  EQ_ASSERT_OK(file.status());
  EXPECT_EQ((*file)->format(), TokenFormat::kBytes);
  EXPECT_EQ((*file)->num_documents(), 1);
  const std::string text = ReadText(path);
  const std::vector<int32_t> tokens = ReadAll(**file);
  ASSERT_EQ(tokens.size(), text.size());
  for (size_t i = 0; i < text.size(); ++i) EXPECT_EQ(tokens[i], static_cast<uint8_t>(text[i]));
}

TEST(TokenFileTest, ReadsAnyRange) {
  const std::string path = TestFolder() + "train.bin";
  std::vector<int32_t> tokens(1009);
  std::iota(tokens.begin(), tokens.end(), 0);
  EQ_ASSERT_OK(WriteNanoGpt(path, tokens));
  const auto file = TokenFile::Open(path, {TokenFormat::kNanoGpt, 1009});
  EQ_ASSERT_OK(file.status());
  std::vector<int32_t> out(17);
  for (const int64_t begin : {0, 1, 500, 992}) {
    EQ_ASSERT_OK((*file)->ReadTokens(begin, out));
    for (int i = 0; i < 17; ++i) EXPECT_EQ(out[i], begin + i);
  }
  EQ_ASSERT_OK((*file)->ReadTokens(1009, {}));
  for (const int64_t begin : {int64_t{-1}, int64_t{993}, int64_t{1010}, INT64_MAX, INT64_MIN}) {
    ExpectError((*file)->ReadTokens(begin, out), absl::StatusCode::kOutOfRange,
                {path, "within 1009 tokens", "17 tokens from"});
  }
}

TEST(TokenFileTest, SniffingByContent) {
  const auto detect = [](std::string_view bytes) {
    return DetectTokenFormat(std::as_bytes(std::span(bytes.data(), bytes.size())));
  };
  using std::string_literals::operator""s;
  EXPECT_EQ(detect(""), TokenFormat::kBytes);
  EXPECT_EQ(detect("plain\r\n\ttext"), TokenFormat::kBytes);
  EXPECT_EQ(detect("\xEF\xBB\xBF"
                   "with a byte order mark"),
            TokenFormat::kBytes);
  EXPECT_EQ(detect("\x01\x00\x02\x00"s), TokenFormat::kNanoGpt);
  EXPECT_EQ(detect("a\x01"), TokenFormat::kNanoGpt);
  EXPECT_EQ(detect("latin\xE9 one"), TokenFormat::kNanoGpt);
  EXPECT_EQ(detect("cut \xC3"), TokenFormat::kNanoGpt);
  EXPECT_EQ(detect("\xC0\x80 overlong"), TokenFormat::kNanoGpt);
  for (const int32_t magic : {kLlmCMagicU16, kLlmCMagicU32, kLlmCMagicEval, kLlmCMagicTokenizer}) {
    EXPECT_EQ(detect({reinterpret_cast<const char*>(&magic), 4}), TokenFormat::kLlmC) << magic;
  }
  // A character may straddle the end of the part that is looked at.
  for (int pad = 65530; pad <= 65540; ++pad) {
    EXPECT_EQ(detect(std::string(pad, 'x') + "\xF0\x9F\x99\x82 end"), TokenFormat::kBytes) << pad;
  }
}

TEST(TokenFileTest, TokenOutsideTheVocabularyNamesFileAndOffset) {
  const std::string folder = TestFolder();
  EQ_ASSERT_OK(WriteNanoGpt(folder + "n.bin", std::vector<int32_t>{3, 4, 99, 100, 5}));
  const auto nano = TokenFile::Open(folder + "n.bin", {TokenFormat::kNanoGpt, 100});
  EQ_ASSERT_OK(nano.status());
  std::vector<int32_t> out(3);
  EQ_ASSERT_OK((*nano)->ReadTokens(0, out));
  ExpectError((*nano)->ReadTokens(2, out), absl::StatusCode::kOutOfRange,
              {folder + "n.bin", "token 3 (at byte 6", "from 0 to 99", "found 100"});

  EQ_ASSERT_OK(WriteMegatron(folder + "m", {{3, 4}, {-1}}, TokenType::kI32));
  const auto megatron = TokenFile::Open(folder + "m", {TokenFormat::kAuto, 100});
  EQ_ASSERT_OK(megatron.status());
  ExpectError((*megatron)->ReadTokens(0, out), absl::StatusCode::kOutOfRange,
              {folder + "m.bin", "token 2 (at byte 8", "found -1"});

  const std::string shard = folder + "s.bin";
  EQ_ASSERT_OK(WriteLlmC(shard, std::vector<int32_t>{1, 2, 3}, TokenType::kU32));
  std::string bytes = ReadText(shard);
  bytes[1024 + 4 + 3] = '\xFF';  // The second token becomes negative as an int32.
  WriteText(shard, bytes);
  const auto llmc = TokenFile::Open(shard, {TokenFormat::kAuto, 100});
  EQ_ASSERT_OK(llmc.status());
  ExpectError((*llmc)->ReadTokens(0, out), absl::StatusCode::kOutOfRange,
              {"token 1 (at byte 1028", "found 4278190082"});

  WriteText(folder + "t.txt", "caf\xC3\xA9");
  const auto text = TokenFile::Open(folder + "t.txt", {TokenFormat::kAuto, 128});
  EQ_ASSERT_OK(text.status());
  ExpectError((*text)->ReadTokens(2, out), absl::StatusCode::kOutOfRange,
              {"token 3 (at byte 3", "found 195"});
}

TEST(TokenFileTest, LargeValuesOfInt64AreNotCutToInt32) {
  const std::string prefix = TestFolder() + "x";
  EQ_ASSERT_OK(WriteMegatron(prefix, {{1, 2}}, TokenType::kI64));
  std::string data = ReadText(prefix + ".bin");
  data[8 + 4] = 1;  // 2 + 2^32
  WriteText(prefix + ".bin", data);
  const auto file = TokenFile::Open(prefix, {TokenFormat::kAuto, 100});
  EQ_ASSERT_OK(file.status());
  std::vector<int32_t> out(2);
  ExpectError((*file)->ReadTokens(0, out), absl::StatusCode::kOutOfRange, {"found 4294967298"});
}

TEST(TokenFileTest, MissingEmptyAndSpecialFiles) {
  const std::string folder = TestFolder();
  const TokenFileOptions options{TokenFormat::kAuto, 100};
  unlink((folder + "none.bin").c_str());
  ExpectError(TokenFile::Open(folder + "none.bin", options).status(), absl::StatusCode::kNotFound,
              {folder + "none.bin", "cannot open", "No such file"});
  WriteText(folder + "empty.txt", "");
  ExpectError(TokenFile::Open(folder + "empty.txt", options).status(),
              absl::StatusCode::kInvalidArgument, {folder + "empty.txt", "holds no tokens"});
  ExpectError(TokenFile::Open(folder, options).status(), absl::StatusCode::kInvalidArgument,
              {folder, "directory"});
  ExpectError(TokenFile::Open("/dev/null", options).status(), absl::StatusCode::kInvalidArgument,
              {"/dev/null", "device"});
  EQ_ASSERT_OK(WriteMegatron(folder + "zero", {}, TokenType::kU16));
  ExpectError(TokenFile::Open(folder + "zero", options).status(),
              absl::StatusCode::kInvalidArgument, {folder + "zero.bin", "holds no tokens"});
  EQ_ASSERT_OK(WriteMegatron(folder + "half", {{1}}, TokenType::kU16));
  unlink((folder + "half.bin").c_str());
  ExpectError(TokenFile::Open(folder + "half.idx", options).status(), absl::StatusCode::kNotFound,
              {folder + "half.bin"});
  for (const int64_t vocab_size : {int64_t{0}, int64_t{-5}, int64_t{1} << 31}) {
    WriteText(folder + "ok.txt", "text");
    ExpectError(TokenFile::Open(folder + "ok.txt", {TokenFormat::kAuto, vocab_size}).status(),
                absl::StatusCode::kInvalidArgument, {"vocabulary", std::to_string(vocab_size)});
  }
}

TEST(TokenFileTest, AnIndexIsNotReadAsTokens) {
  const std::string folder = TestFolder();
  const auto invalid = absl::StatusCode::kInvalidArgument;
  EQ_ASSERT_OK(WriteMegatron(folder + "x", SmallDocuments(), TokenType::kU16));
  for (const TokenFormat format : {TokenFormat::kBytes, TokenFormat::kNanoGpt}) {
    ExpectError(TokenFile::Open(folder + "x.idx", {format, 70000}).status(), invalid,
                {folder + "x.idx", "this is an index", "name its .bin"});
  }
  // Under another name, whatever it is read as.
  WriteText(folder + "renamed.bin", ReadText(folder + "x.idx"));
  ExpectError(TokenFile::Open(folder + "renamed.bin", {TokenFormat::kAuto, 70000}).status(),
              invalid, {folder + "renamed.bin", "this is an index", "name its .bin"});
  EQ_ASSERT_OK(WriteByteDocuments(folder + "y", SmallDocuments()));
  ExpectError(TokenFile::Open(folder + "y.docs", {TokenFormat::kAuto, 70000}).status(), invalid,
              {folder + "y.docs", "this is an index", "name its .bytes"});
}

TEST(TokenFileTest, OtherLlmCFilesAreToldApart) {
  const std::string path = TestFolder() + "x.bin";
  EQ_ASSERT_OK(WriteLlmC(path, std::vector<int32_t>{1, 2, 3}, TokenType::kU16));
  const std::string good = ReadText(path);
  const auto open_with = [&](int32_t magic, int32_t version) {
    std::string bytes = good;
    bytes.replace(0, 4, reinterpret_cast<const char*>(&magic), 4);
    bytes.replace(4, 4, reinterpret_cast<const char*>(&version), 4);
    WriteText(path, bytes);
    return TokenFile::Open(path, {TokenFormat::kLlmC, 100}).status();
  };
  EQ_ASSERT_OK(open_with(kLlmCMagicU16, 1));
  const auto invalid = absl::StatusCode::kInvalidArgument;
  ExpectError(open_with(kLlmCMagicU16, 2), invalid, {path, "at byte 4", "version 1", "found 2"});
  ExpectError(open_with(kLlmCMagicEval, 1), invalid, {"evaluation file"});
  ExpectError(open_with(kLlmCMagicTokenizer, 1), invalid, {"tokenizer"});
  ExpectError(open_with(12345, 1), invalid, {"at byte 0", "found 12345"});
  // Twice as wide tokens in the same bytes.
  ExpectError(open_with(kLlmCMagicU32, 7), absl::StatusCode::kDataLoss,
              {"token count is 3", "expected a file of 1036 bytes, found 1030"});
}

TEST(TokenFileTest, WritersRefuseWhatDoesNotFit) {
  const std::string folder = TestFolder();
  const auto invalid = absl::StatusCode::kInvalidArgument;
  ExpectError(WriteMegatron(folder + "x", {{70000}}, TokenType::kU16), invalid, {"token 70000"});
  ExpectError(WriteMegatron(folder + "x", {{-1}}, TokenType::kU16), invalid, {"token -1"});
  ExpectError(WriteMegatron(folder + "x", {{1}}, TokenType::kU32), invalid, {"no uint32"});
  ExpectError(WriteLlmC(folder + "x", {}, TokenType::kI32), invalid, {"uint16 and uint32"});
  ExpectError(WriteByteDocuments(folder + "x", {{256}}), invalid, {"token 256"});
  EXPECT_FALSE(WriteNanoGpt(folder + "no/such/folder", {}).ok());
}

}  // namespace
}  // namespace equipoise
