#include "core/io/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "core/base/rng.h"
#include "core/io/in_memory_file_system.h"

namespace equipoise {
namespace {

using ::testing::HasSubstr;

template <typename T>
std::span<const std::byte> BytesOf(const std::vector<T>& values) {
  return std::as_bytes(std::span<const T>(values));
}

std::span<const std::byte> BytesOf(std::string_view text) {
  return std::as_bytes(std::span<const char>(text.data(), text.size()));
}

// A file of that header and data.
std::string FileOf(std::string_view header, size_t data_bytes) {
  const uint64_t length = header.size();
  std::string file(reinterpret_cast<const char*>(&length), sizeof(length));
  file.append(header);
  return file.append(data_bytes, '\1');
}

absl::Status ParseStatus(std::string_view file) {
  return ParseSafetensorsHeader(BytesOf(file), "x.safetensors").status();
}

class SafetensorsTest : public ::testing::Test {
 protected:
  // A small file with a scalar, an empty tensor and three dtypes.
  void WriteSample(const std::string& path) {
    auto writer = SafetensorsWriter::Create(disk_, path,
                                            {{"bytes", SafetensorsDType::kU8, {3}},
                                             {"matrix", SafetensorsDType::kF32, {2, 3}},
                                             {"scalar", SafetensorsDType::kF64, {}},
                                             {"empty", SafetensorsDType::kF32, {0, 7}},
                                             {"counts", SafetensorsDType::kI64, {2}}});
    ASSERT_TRUE(writer.ok()) << writer.status();
    ASSERT_TRUE((*writer)->Write("counts", BytesOf(counts_)).ok());
    ASSERT_TRUE((*writer)->Write("scalar", BytesOf(scalar_)).ok());
    // In two pieces.
    ASSERT_TRUE((*writer)->Write("matrix", BytesOf(matrix_).first(5)).ok());
    ASSERT_TRUE((*writer)->Write("matrix", BytesOf(matrix_).subspan(5)).ok());
    ASSERT_TRUE((*writer)->Write("bytes", BytesOf(bytes_)).ok());
    auto written = (*writer)->Finish();
    ASSERT_TRUE(written.ok()) << written.status();
    written_ = *written;
  }

  std::string Contents(const std::string& path) { return std::string((*disk_.Map(path))->text()); }

  InMemoryFileSystem disk_;
  const std::vector<int64_t> counts_ = {int64_t{1} << 53, -7};
  const std::vector<double> scalar_ = {0.1};
  const std::vector<float> matrix_ = {1, 2, 3, 4, 5, 6};
  const std::vector<uint8_t> bytes_ = {7, 8, 9};
  std::vector<WrittenTensor> written_;
};

TEST_F(SafetensorsTest, RoundTrip) {
  WriteSample("/a.safetensors");
  auto reader = SafetensorsReader::Open(disk_, "/a.safetensors");
  ASSERT_TRUE(reader.ok()) << reader.status();
  std::vector<float> matrix(6);
  ASSERT_TRUE((*reader)->Read<float>("matrix", {2, 3}, std::span<float>(matrix)).ok());
  EXPECT_EQ(matrix, matrix_);
  std::vector<int64_t> counts(2);
  ASSERT_TRUE((*reader)->Read<int64_t>("counts", {2}, std::span<int64_t>(counts)).ok());
  EXPECT_EQ(counts, counts_);
  std::vector<double> scalar(1);
  ASSERT_TRUE((*reader)->Read<double>("scalar", {}, std::span<double>(scalar)).ok());
  EXPECT_EQ(scalar, scalar_);
  EXPECT_TRUE((*reader)->Read<float>("empty", {0, 7}, std::span<float>()).ok());
  EXPECT_EQ((*reader)->metadata().at("format"), "pt");
}

TEST_F(SafetensorsTest, WritesHuggingFacesOrderAndHashes) {
  WriteSample("/a.safetensors");
  std::vector<std::string> names;
  for (const WrittenTensor& tensor : written_) names.push_back(tensor.entry.spec.name);
  EXPECT_EQ(names, (std::vector<std::string>{"counts", "scalar", "empty", "matrix", "bytes"}));
  EXPECT_EQ(written_[3].hash, Xxh3(BytesOf(matrix_)));
  EXPECT_EQ(written_[2].hash, Xxh3(std::string_view()));
  const std::string file = Contents("/a.safetensors");
  const std::string header = R"({"__metadata__":{"format":"pt"},)"
                             R"("counts":{"dtype":"I64","shape":[2],"data_offsets":[0,16]},)"
                             R"("scalar":{"dtype":"F64","shape":[],"data_offsets":[16,24]},)"
                             R"("empty":{"dtype":"F32","shape":[0,7],"data_offsets":[24,24]},)"
                             R"("matrix":{"dtype":"F32","shape":[2,3],"data_offsets":[24,48]},)"
                             R"("bytes":{"dtype":"U8","shape":[3],"data_offsets":[48,51]}})";
  EXPECT_EQ(file.substr(8, header.size()), header);
  // Length and XXH3-64 of what safetensors.numpy.save (version 0.8.0) makes of the same tensors.
  EXPECT_EQ(file.size(), 395U);
  EXPECT_EQ(HashToHex(Xxh3(std::string_view(file))), "d770968610de858a");
  EXPECT_EQ((file.size() - 51) % 8, 0U) << "the data must start at a multiple of 8";
}

// The order in which safetensors.serialize (version 0.8.0) lays out one tensor of each type.
TEST(SafetensorsDTypeTest, OrderIsHuggingFaces) {
  const std::vector<std::string> largest_first = {
      "U64", "I64", "F64",         "C64",         "F32",     "U32",     "I32",     "BF16", "F16",
      "U16", "I16", "F8_E5M2FNUZ", "F8_E4M3FNUZ", "F8_E8M0", "F8_E4M3", "F8_E5M2", "I8",   "U8"};
  int previous = static_cast<int>(SafetensorsDType::kU64) + 1;
  for (const std::string& name : largest_first) {
    const auto dtype = SafetensorsDTypeFromName(name);
    ASSERT_TRUE(dtype.has_value()) << name;
    EXPECT_EQ(static_cast<int>(*dtype), --previous) << name;
    EXPECT_EQ(Name(*dtype), name);
  }
  EXPECT_EQ(ToSafetensors(DType::kI32), SafetensorsDType::kI32);
  EXPECT_FALSE(SafetensorsDTypeFromName("f32").has_value());
}

TEST_F(SafetensorsTest, NoTensorsIsAFile) {
  auto writer = SafetensorsWriter::Create(disk_, "/none", {}, {});
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->Finish().ok());
  EXPECT_EQ((*writer)->file_bytes(), *disk_.FileSize("/none"));
  EXPECT_TRUE(SafetensorsReader::Open(disk_, "/none").ok());
}

TEST_F(SafetensorsTest, TruncationAtEveryOffsetIsDetected) {
  WriteSample("/a.safetensors");
  const std::string file = Contents("/a.safetensors");
  ASSERT_TRUE(ParseStatus(file).ok());
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_EQ(ParseStatus(file.substr(0, size)).code(), absl::StatusCode::kDataLoss) << size;
  }
  EXPECT_FALSE(ParseStatus(file + "x").ok()) << "a byte too many";
}

// Every flipped bit is refused, or shows in what was read: as another name, dtype, shape or
// metadata, or (checksums are the manifest's) as other data. Blanks of the padding are the one
// place where a flip may do nothing, and there it must turn one blank into another.
TEST_F(SafetensorsTest, BitFlipsAreDetectedOrVisible) {
  WriteSample("/a.safetensors");
  const std::string file = Contents("/a.safetensors");
  const auto describe = [](const std::string& bytes) {
    std::string text;
    auto header = ParseSafetensorsHeader(BytesOf(bytes), "x");
    if (!header.ok()) return std::string("refused");
    for (const auto& entry : header->entries) {
      text += entry.spec.name + Name(entry.spec.dtype) + ShapeToString(entry.spec.shape) +
              std::to_string(entry.begin) + ":" + std::to_string(entry.end) + " ";
    }
    for (const auto& [key, value] : header->metadata) absl::StrAppend(&text, key, "=", value, " ");
    return text + bytes.substr(header->data_start);
  };
  const std::string before = describe(file);
  const Philox random(StreamKey(1, "bit flips"));
  for (uint64_t trial = 0; trial < 1000; ++trial) {
    std::string flipped = file;
    const uint64_t bit = random.Below(file.size() * 8, trial);
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const bool harmless = std::isspace(static_cast<unsigned char>(flipped[bit / 8])) != 0;
    EXPECT_TRUE(describe(flipped) != before || harmless) << "bit " << bit;
  }
}

TEST_F(SafetensorsTest, RandomBytesNeverCrash) {
  const Philox random(StreamKey(2, "random headers"));
  const std::string_view alphabet = R"({}[]",:0123456789dtypeshape_ofsF32\u-.)";
  for (uint64_t trial = 0; trial < 2000; ++trial) {
    std::string header = "{";
    for (uint64_t i = random.Below(60, trial); i > 0; --i) {
      header += alphabet[random.Below(alphabet.size(), trial, i)];
    }
    ParseStatus(FileOf(header, 8)).IgnoreError();
  }
}

struct BadHeader {
  const char* description;
  std::string header;
  size_t data_bytes;
  const char* message;
};

std::vector<BadHeader> BadHeaders() {
  using absl::StrCat;
  const std::string a = R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  const auto b = [](const char* offsets) {
    return StrCat(R"("b":{"dtype":"F32","shape":[1],"data_offsets":)", offsets, "}");
  };
  const auto one = [](const char* dtype, const char* shape, const char* offsets) {
    return StrCat(R"({"t":{"dtype":")", dtype, R"(","shape":)", shape, R"(,"data_offsets":)",
                  offsets, "}}");
  };
  return {
      {"hole", StrCat("{", a, ",", b("[12,16]"), "}"), 16, "'b' with data_offsets [12, 16)"},
      {"hole at the start", StrCat("{", b("[4,8]"), "}"), 8, "hole"},
      {"overlap", StrCat("{", a, ",", b("[4,8]"), "}"), 8, "starts inside"},
      {"out of order", StrCat("{", b("[4,0]"), "}"), 4, "its end lies before its start"},
      {"the same bytes twice", StrCat("{", a, R"(,"c)", a.substr(2), "}"), 8, "starts inside"},
      {"beyond the end", StrCat("{", a, "}"), 7, "ends after the file's data"},
      {"data left over", StrCat("{", a, "}"), 9, "last tensor ends at 8 of 9"},
      {"data without a tensor", "{}", 1, "last tensor ends at 0 of 1"},
      {"duplicate tensor", StrCat("{", a, ",", a, "}"), 8, "'a' occurs twice"},
      {"duplicate field", R"({"t":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
       8, "'dtype' occurs twice"},
      {"duplicate metadata", R"({"__metadata__":{"a":"1","a":"2"}})", 0, "'a' occurs twice"},
      {"metadata twice", R"({"__metadata__":{},"__metadata__":{}})", 0, "occurs twice"},
      {"metadata is no string", R"({"__metadata__":{"a":1}})", 0, "a number"},
      {"metadata is no object", R"({"__metadata__":"a"})", 0, "a string"},
      {"shape and bytes differ", one("F32", "[3]", "[0,8]"), 8, "takes 12 bytes"},
      {"dtype and bytes differ", one("F64", "[2]", "[0,8]"), 8, "takes 16 bytes"},
      {"shape overflows", one("F32", "[4294967296,4294967296]", "[0,8]"), 8, "overflows"},
      {"extent overflows", one("U8", "[9223372036854775808]", "[0,8]"), 8, "too large"},
      {"number beyond 64 bits", one("U8", "[18446744073709551617]", "[0,1]"), 1, "the number"},
      {"negative extent", one("F32", "[-2]", "[0,8]"), 8, "negative number -2"},
      {"fraction", one("F32", "[2.0]", "[0,8]"), 8, "the number 2.0"},
      {"half a byte", one("F4", "[3]", "[0,1]"), 1, "not whole bytes"},
      {"unknown dtype", one("F33", "[2]", "[0,8]"), 8, "unknown dtype 'F33'"},
      {"missing shape", R"({"t":{"dtype":"F32","data_offsets":[0,8]}})", 8, "'shape' is missing"},
      {"unknown field", R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}})", 8,
       "unknown key 'x'"},
      {"three offsets", one("F32", "[2]", "[0,8,8]"), 8, "more than two"},
      {"one offset", one("F32", "[2]", "[8]"), 8, "less than two"},
      {"nested shape", one("F32", "[[2]]", "[0,8]"), 8, "an array"},
      {"shape is a string", one("F32", "\"2\"", "[0,8]"), 8, "a string"},
      {"tensor is null", R"({"t":null})", 0, "null"},
      {"array at the top", R"([1])", 0, "does not start with '{'"},
      {"blank at the top", " {}", 0, "does not start with '{'"},
      {"empty header", "", 0, "does not start with '{'"},
      {"not JSON", "{not", 0, "malformed JSON"},
      {"unfinished", R"({"t":{"dtype":"F32")", 0, "malformed JSON"},
      {"two values", "{}{}", 0, "malformed JSON"},
      {"zero padding", std::string("{}\0\0", 4), 0, "malformed JSON"},
      {"bad UTF-8", "{\"\xc3\x28\":{}}", 0, "malformed JSON"},
  };
}

TEST_F(SafetensorsTest, RefusesEveryBadHeader) {
  for (const BadHeader& bad : BadHeaders()) {
    const absl::Status status = ParseStatus(FileOf(bad.header, bad.data_bytes));
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << bad.description;
    EXPECT_THAT(std::string(status.message()), HasSubstr(bad.message)) << bad.description;
    EXPECT_THAT(std::string(status.message()), HasSubstr("x.safetensors")) << bad.description;
  }
}

TEST_F(SafetensorsTest, RefusesHeaderLengths) {
  for (const uint64_t length : {uint64_t{100'000'001}, std::numeric_limits<uint64_t>::max()}) {
    std::string file(reinterpret_cast<const char*>(&length), sizeof(length));
    EXPECT_THAT(std::string(ParseStatus(file + "{}").message()), HasSubstr("more than 100000000"));
  }
  EXPECT_THAT(std::string(ParseStatus("1234567").message()), HasSubstr("less than 8"));
}

TEST_F(SafetensorsTest, AcceptsAnyHeaderOrderScalarsAndPaddingOfBlanks) {
  const std::string header = R"({"b":{"dtype":"U8","shape":[],"data_offsets":[4,5]}, )"
                             R"("z":{"dtype":"F4","shape":[2,0],"data_offsets":[5,5]},)"
                             R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}   )";
  EXPECT_TRUE(ParseStatus(FileOf(header, 5)).ok()) << ParseStatus(FileOf(header, 5));
}

TEST_F(SafetensorsTest, ConvertsHalfPrecisionsExactly) {
  // F16: 1, -2, largest, smallest subnormal, infinity, -0; BF16: 1, -2.
  const std::vector<uint16_t> f16 = {0x3c00, 0xc000, 0x7bff, 0x0001, 0x7c00, 0x8000};
  const std::vector<uint16_t> bf16 = {0x3f80, 0xc000};
  const std::vector<double> f64 = {1.0 + 0x1p-24, 3.0};
  auto writer = SafetensorsWriter::Create(disk_, "/h",
                                          {{"f16", SafetensorsDType::kF16, {6}},
                                           {"bf16", SafetensorsDType::kBF16, {2}},
                                           {"f64", SafetensorsDType::kF64, {2}},
                                           {"u8", SafetensorsDType::kU8, {1}}});
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->Write("f64", BytesOf(f64)).ok());
  ASSERT_TRUE((*writer)->Write("bf16", BytesOf(bf16)).ok());
  ASSERT_TRUE((*writer)->Write("f16", BytesOf(f16)).ok());
  ASSERT_TRUE((*writer)->Write("u8", BytesOf(std::string_view("x"))).ok());
  ASSERT_TRUE((*writer)->Finish().ok());
  auto reader = SafetensorsReader::Open(disk_, "/h");
  ASSERT_TRUE(reader.ok());
  std::vector<float> six(6);
  ASSERT_TRUE((*reader)->ReadAsFloat("f16", {6}, six).ok());
  EXPECT_EQ(six, (std::vector<float>{1, -2, 65504, 0x1p-24F, INFINITY, -0.0F}));
  EXPECT_TRUE(std::signbit(six[5]));
  std::vector<float> two(2);
  ASSERT_TRUE((*reader)->ReadAsFloat("bf16", {2}, two).ok());
  EXPECT_EQ(two, (std::vector<float>{1, -2}));
  ASSERT_TRUE((*reader)->ReadAsFloat("f64", {2}, two).ok());
  EXPECT_EQ(two, (std::vector<float>{1, 3}));
  std::vector<float> one(1);
  EXPECT_THAT(std::string((*reader)->ReadAsFloat("u8", {1}, one).message()), HasSubstr("U8"));
}

TEST_F(SafetensorsTest, ReadingNamesWhatDoesNotFit) {
  WriteSample("/a.safetensors");
  auto reader = SafetensorsReader::Open(disk_, "/a.safetensors");
  ASSERT_TRUE(reader.ok());
  std::vector<float> out(6);
  const std::span<float> span(out);
  EXPECT_THAT(std::string((*reader)->Read<float>("matrix", {3, 2}, span).message()),
              HasSubstr("'/a.safetensors': tensor 'matrix' has shape [2, 3], not [3, 2]"));
  EXPECT_THAT(std::string((*reader)->Read<float>("bytes", {3}, span).message()),
              HasSubstr("holds U8, not F32"));
  EXPECT_EQ((*reader)->Read<float>("gone", {3}, span).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(SafetensorsReader::Open(disk_, "/none").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(SafetensorsTest, WriterRefusesWhatCannotBeWritten) {
  const auto create = [&](std::vector<SafetensorsSpec> tensors) {
    return SafetensorsWriter::Create(disk_, "/w", std::move(tensors)).status().code();
  };
  constexpr auto kF32 = SafetensorsDType::kF32;
  EXPECT_EQ(create({{"a", kF32, {1}}, {"a", kF32, {1}}}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(create({{"__metadata__", kF32, {1}}}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(create({{"a", kF32, {-1}}}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(create({{"a", kF32, {int64_t{1} << 62, 8}}}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(create({{"\xff", kF32, {1}}}), absl::StatusCode::kInvalidArgument);
}

TEST_F(SafetensorsTest, WriterRefusesDataOutOfOrder) {
  const std::vector<float> data = {1, 2};
  constexpr auto kF32 = SafetensorsDType::kF32;
  auto writer = SafetensorsWriter::Create(disk_, "/w", {{"a", kF32, {1}}, {"b", kF32, {2}}});
  ASSERT_TRUE(writer.ok());
  EXPECT_THAT(std::string((*writer)->Write("b", BytesOf(data)).message()),
              HasSubstr("'a' was expected"));
  EXPECT_THAT(std::string((*writer)->Write("a", BytesOf(data)).message()),
              HasSubstr("8 bytes of tensor 'a' came where 4 were left"));
  ASSERT_TRUE((*writer)->Write("a", BytesOf(data).first(4)).ok());
  EXPECT_THAT(std::string((*writer)->Finish().status().message()), HasSubstr("'b' has 0 of 8"));
  ASSERT_TRUE((*writer)->Write("b", BytesOf(data)).ok());
  EXPECT_THAT(std::string((*writer)->Write("c", BytesOf(data)).message()),
              HasSubstr("nothing more"));
}

TEST_F(SafetensorsTest, AFullDiskIsReportedWhereverItHappens) {
  for (int64_t k = 0; k <= 5; ++k) {
    InMemoryFileSystem disk;
    disk.FailOperations(k);
    auto writer = SafetensorsWriter::Create(disk, "/w", {{"counts", SafetensorsDType::kI64, {2}}});
    absl::Status status = writer.status();
    if (status.ok()) status = (*writer)->Write("counts", BytesOf(counts_));
    if (status.ok()) status = (*writer)->Finish().status();
    // Create, header, data, sync, close.
    EXPECT_EQ(status.code(), k < 5 ? absl::StatusCode::kResourceExhausted : absl::StatusCode::kOk)
        << k;
  }
}

}  // namespace
}  // namespace equipoise
