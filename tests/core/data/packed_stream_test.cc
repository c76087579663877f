#include "core/data/packed_stream.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/data/token_writer.h"
#include "tests/core/data/test_files.h"

namespace equipoise {
namespace {

using testing::ExpectError;
using testing::TestFolder;
using testing::WriteText;

PackedStreamOptions Options(std::vector<std::string> paths, int32_t separator = 50) {
  PackedStreamOptions options;
  options.paths = std::move(paths);
  options.file.vocab_size = 300;
  options.separator = separator;
  return options;
}

// Opens, reads every range, and compares with `expected`.
void ExpectStream(const PackedStreamOptions& options, const std::vector<int32_t>& expected) {
  const auto stream = PackedStream::Open(options);
  EQ_ASSERT_OK(stream.status());
  const int64_t size = static_cast<int64_t>(expected.size());
  ASSERT_EQ((*stream)->num_tokens(), size);
  for (int64_t begin = 0; begin <= size; ++begin) {
    for (int64_t end = begin; end <= size; ++end) {
      std::vector<int32_t> out(end - begin, -7);
      EQ_ASSERT_OK((*stream)->Read(begin, out));
      const std::vector<int32_t> part(expected.begin() + begin, expected.begin() + end);
      ASSERT_EQ(out, part) << "tokens " << begin << " to " << end;
    }
  }
  std::vector<int32_t> two(2);
  for (const int64_t begin : {int64_t{-1}, size - 1, size + 1, INT64_MAX}) {
    ExpectError((*stream)->Read(begin, two), absl::StatusCode::kOutOfRange, {"stream of"});
  }
}

TEST(PackedStreamTest, SeparatorAfterEveryDocument) {
  const std::string prefix = TestFolder() + "x";
  EQ_ASSERT_OK(WriteByteDocuments(prefix, {{}, {1, 2, 3}, {}, {}, {4}, {5, 6}, {}}));
  ExpectStream(Options({prefix + ".bytes"}), {50, 1, 2, 3, 50, 50, 50, 4, 50, 5, 6, 50, 50});
}

TEST(PackedStreamTest, MegatronWithAndWithoutItsOwnSeparators) {
  const std::string folder = TestFolder();
  EQ_ASSERT_OK(WriteMegatron(folder + "bare", {{}, {1, 2}, {3}}, TokenType::kU16));
  ExpectStream(Options({folder + "bare.bin"}), {50, 1, 2, 50, 3, 50});
  EQ_ASSERT_OK(WriteMegatron(folder + "ended", {{}, {1, 2, 50}, {3, 50}}, TokenType::kU16));
  ExpectStream(Options({folder + "ended.bin"}), {1, 2, 50, 3, 50});
}

TEST(PackedStreamTest, StreamsWithoutBoundariesAreLeftAlone) {
  const std::string folder = TestFolder();
  EQ_ASSERT_OK(WriteLlmC(folder + "a.bin", std::vector<int32_t>{50, 1, 2}, TokenType::kU16));
  EQ_ASSERT_OK(WriteNanoGpt(folder + "b.bin", std::vector<int32_t>{3, 50, 4}));
  ExpectStream(Options({folder + "a.bin", folder + "b.bin"}), {50, 1, 2, 3, 50, 4});
}

TEST(PackedStreamTest, FilesFollowEachOther) {
  const std::string folder = TestFolder();
  WriteText(folder + "one.txt", "A");
  WriteText(folder + "two.txt", "BC");
  EQ_ASSERT_OK(WriteNanoGpt(folder + "x.bin", std::vector<int32_t>{9}));
  ExpectStream(Options({folder + "two.txt", folder + "x.bin", folder + "one.txt"}, 256),
               {66, 67, 256, 9, 65, 256});
}

TEST(PackedStreamTest, PatternsInByteOrder) {
  const std::string folder = TestFolder();
  for (const std::string name : {"b", "a", "B", "10", "9"}) WriteText(folder + name + ".txt", name);
  ExpectStream(Options({folder + "*.txt"}), {'1', '0', 50, '9', 50, 'B', 50, 'a', 50, 'b', 50});
  // A file whose name looks like a pattern is itself.
  WriteText(folder + "[ab].txt", "!");
  ExpectStream(Options({folder + "[ab].txt"}), {'!', 50});
}

TEST(PackedStreamTest, AFileAndItsIndexAreNotBothRead) {
  const std::string folder = TestFolder();
  const auto invalid = absl::StatusCode::kInvalidArgument;
  EQ_ASSERT_OK(WriteMegatron(folder + "books", {{1, 2}, {3}}, TokenType::kU16));
  const std::vector<std::vector<std::string>> twice = {{folder + "books*"},
                                                       {folder + "books", folder + "books.bin"}};
  for (const std::vector<std::string>& paths : twice) {
    ExpectError(PackedStream::Open(Options(paths)).status(), invalid,
                {folder + "books.bin", "a file and its index", "name the .bin"});
  }
  ExpectStream(Options({folder + "books*.bin"}), {1, 2, 50, 3, 50});
  ExpectStream(Options({folder + "books.bin", folder + "books.bin"}),
               {1, 2, 50, 3, 50, 1, 2, 50, 3, 50});
  EQ_ASSERT_OK(WriteByteDocuments(folder + "prose", {{1}, {2}}));
  ExpectError(PackedStream::Open(Options({folder + "prose*"})).status(), invalid,
              {folder + "prose.docs", "name its .bytes"});
}

TEST(PackedStreamTest, Errors) {
  const std::string folder = TestFolder();
  WriteText(folder + "a.txt", "text");
  const auto invalid = absl::StatusCode::kInvalidArgument;
  ExpectError(PackedStream::Open(Options({})).status(), invalid, {"at least one path"});
  ExpectError(PackedStream::Open(Options({folder + "none*"})).status(), absl::StatusCode::kNotFound,
              {folder + "none*", "no file matches"});
  ExpectError(PackedStream::Open(Options({folder + "a.txt", folder + "none"})).status(),
              absl::StatusCode::kNotFound, {folder + "none"});
  for (const int32_t separator : {-1, 300}) {
    ExpectError(PackedStream::Open(Options({folder + "a.txt"}, separator)).status(), invalid,
                {"separator", "0 to 299", std::to_string(separator)});
  }
}

}  // namespace
}  // namespace equipoise
