#include "core/io/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "core/base/rng.h"
#include "core/io/hash.h"
#include "core/io/in_memory_file_system.h"

namespace equipoise {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto kF32 = SafetensorsDType::kF32;

Manifest Sample() {
  Manifest manifest;
  manifest.step = 1200;
  manifest.tokens = int64_t{1} << 60;
  manifest.config_hash = "0123456789abcdef";
  manifest.writer_version = "0.1";
  manifest.model = {{"experts", 8}, {"layers", 2}};
  manifest.world_size = 4;
  manifest.layout = {{"expert_parallel", 4}};
  manifest.files = {{"a.safetensors", 128}, {"b.safetensors", 0}};
  manifest.tensors = {{{"w", kF32, {2, 3}}, "a.safetensors", 0xfedcba9876543210},
                      {{"b", SafetensorsDType::kF64, {}}, "b.safetensors", 1}};
  manifest.state = {{"seed", std::numeric_limits<uint64_t>::max()},
                    {"load", {0.1, -0.0, 0x1p-1074, 1.0 / 3.0}}};
  return manifest;
}

// The text of a body with a checksum that fits: what only validation can refuse.
std::string Sealed(const nlohmann::json& body) {
  return nlohmann::json{{"checksum", HashToHex(Xxh3(std::string_view(body.dump())))},
                        {"manifest", body}}
      .dump();
}

nlohmann::json Body() { return nlohmann::json::parse(*ManifestToJson(Sample()))["manifest"]; }

std::string ErrorOf(const std::string& text) {
  const absl::Status status = ParseManifest(text, "MANIFEST.json").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << text;
  return std::string(status.message());
}

TEST(ManifestTest, RoundTrip) {
  const Manifest before = Sample();
  const std::string text = *ManifestToJson(before);
  auto after = ParseManifest(text, "m");
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(*ManifestToJson(*after), text);
  EXPECT_EQ(after->tokens, before.tokens);
  EXPECT_EQ(after->model, before.model);
  EXPECT_EQ(after->tensors[0].hash, before.tensors[0].hash);
  EXPECT_EQ(after->tensors[0].spec.shape, before.tensors[0].spec.shape);
  EXPECT_EQ(after->state["seed"].get<uint64_t>(), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(after->state["load"].get<std::vector<double>>(),
            before.state["load"].get<std::vector<double>>());
  EXPECT_TRUE(std::signbit(after->state["load"][1].get<double>()));
}

TEST(ManifestTest, DoublesAreExact) {
  const Philox random(3);
  std::vector<double> values = {INFINITY, -INFINITY, -0.0, 5e-324, 1.7976931348623157e308};
  for (uint64_t i = 0; i < 1000; ++i) {
    values.push_back(random.Normal(i) * std::exp2(random.Below(600, i, 1)));
  }
  auto read = DoublesFromJson(nlohmann::json::parse(DoublesToJson(values).dump()));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(*read, values);
  const std::vector<double> nan = {NAN};
  EXPECT_TRUE(std::isnan(DoublesFromJson(DoublesToJson(nan))->at(0)));
  EXPECT_FALSE(DoublesFromJson(nlohmann::json::object()).ok());
  EXPECT_FALSE(DoublesFromJson(nlohmann::json::array({"x"})).ok());
}

TEST(ManifestTest, NamesWhatIsWrong) {
  const auto with = [](const char* pointer, nlohmann::json value) {
    nlohmann::json body = Body();
    body[nlohmann::json::json_pointer(pointer)] = std::move(value);
    return ErrorOf(Sealed(body));
  };
  EXPECT_THAT(with("/step", -1), HasSubstr("'step' of the manifest is not a count"));
  EXPECT_THAT(with("/step", "1"), HasSubstr("'step' of the manifest is not a count"));
  EXPECT_THAT(with("/format", 2), HasSubstr("its format is 2; this version reads 1"));
  EXPECT_THAT(with("/extra", 1), HasSubstr("has 12 keys, not 11"));
  EXPECT_THAT(with("/config_hash", 1), HasSubstr("'config_hash' of the manifest is not a string"));
  EXPECT_THAT(with("/model/experts", 1.5), HasSubstr("'experts' of 'model' is not an integer"));
  EXPECT_THAT(with("/state", 1), HasSubstr("'state' is not an object"));
  EXPECT_THAT(with("/files", 1), HasSubstr("'files' of the manifest is not an array"));
  EXPECT_THAT(with("/files/0/name", "../a"), HasSubstr("'../a' is no name of a file"));
  EXPECT_THAT(with("/files/1/name", "a.safetensors"), HasSubstr("'a.safetensors' occurs twice"));
  EXPECT_THAT(with("/tensors/1/name", "w"), HasSubstr("tensor 'w' occurs twice"));
  EXPECT_THAT(with("/tensors/1/file", "c"), HasSubstr("file 'c', which is not listed"));
  EXPECT_THAT(with("/tensors/1/dtype", "F1"), HasSubstr("unknown dtype"));
  EXPECT_THAT(with("/tensors/1/xxh3", "12"), HasSubstr("16 hexadecimal digits"));
  EXPECT_THAT(with("/tensors/0/shape", {1, -2}), HasSubstr("not made of counts"));
  EXPECT_THAT(with("/tensors/0/shape", {int64_t{1} << 62, 4}), HasSubstr("too large"));
  EXPECT_THAT(with("/tensors/0", nlohmann::json::array()), HasSubstr("tensor 0 is not an object"));
  nlohmann::json body = Body();
  body.erase("tokens");
  EXPECT_THAT(ErrorOf(Sealed(body)), HasSubstr("has no key 'tokens'"));
  EXPECT_THAT(ErrorOf("{}"), HasSubstr("has no key 'checksum'"));
  EXPECT_THAT(ErrorOf(""),
              HasSubstr("'MANIFEST.json' is no valid manifest: it is not well-formed"));
  EXPECT_THAT(ErrorOf(absl::StrCat(*ManifestToJson(Sample()), std::string(1, '\0'))),
              HasSubstr("zero byte"));
  EXPECT_THAT(ErrorOf(std::string(100000, '[')), HasSubstr("no valid manifest"));
  EXPECT_THAT(ErrorOf(absl::StrCat(std::string(100000, '['), std::string(100000, ']'))),
              HasSubstr("nested too deep"));
}

TEST(ManifestTest, TruncationAndBitFlipsAreDetected) {
  const std::string text = *ManifestToJson(Sample());
  // The last two bytes are the closing brace's newline and the brace.
  for (size_t size = 0; size + 1 < text.size(); ++size) ErrorOf(text.substr(0, size));
  const nlohmann::json before = nlohmann::json::parse(text);
  const Philox random(StreamKey(4, "manifest flips"));
  for (uint64_t trial = 0; trial < 1000; ++trial) {
    std::string flipped = text;
    const uint64_t bit = random.Below(text.size() * 8, trial);
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    auto manifest = ParseManifest(flipped, "m");
    // A flip that is accepted changed nothing: a blank for another, or 1e5 for 1E5.
    if (!manifest.ok()) continue;
    EXPECT_EQ(nlohmann::json::parse(flipped), before) << bit;
  }
}

TEST(CheckCompleteTest, AcceptsTheSameModel) {
  const std::vector<ExpectedTensor> expected = {{"b", {}}, {"w", {2, 3}}};
  EXPECT_TRUE(CheckComplete(Sample(), Sample().model, expected, "c").ok());
  EXPECT_TRUE(CheckComplete(Sample(), {}, expected, "c").ok());
}

TEST(CheckCompleteTest, OneMessageNamesAllThatDiffers) {
  const std::vector<ExpectedTensor> expected = {{"w", {3, 2}}, {"x", {1}}};
  const absl::Status status = CheckComplete(
      Sample(), {{"experts", 16}, {"layers", 2}, {"heads", 3}}, expected, "ckpt/step-1");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(),
            "checkpoint 'ckpt/step-1' does not fit: it was written by another model: experts is 8 "
            "there and 16 here, heads is absent there and 3 here; 1 tensor missing: x; 1 tensor "
            "unexpected: b; 1 tensor of another shape: w is [2, 3] there and [3, 2] here; "
            "give model.* and moe.* the values of the run that wrote it, or start afresh with "
            "checkpoint.resume: \"never\"");
}

TEST(CheckCompleteTest, NamesTenOfEach) {
  std::vector<ExpectedTensor> expected = {{"b", {}}, {"w", {2, 3}}};
  for (int i = 0; i < 25; ++i) expected.push_back({absl::StrCat("expert", i), {1}});
  const std::string message(CheckComplete(Sample(), {}, expected, "c").message());
  EXPECT_THAT(message, HasSubstr("25 tensors missing: expert0, "));
  EXPECT_THAT(message, HasSubstr("expert9, ..."));
  EXPECT_THAT(message, Not(HasSubstr("expert10")));
}

TEST(CheckCompleteTest, ATensorTwiceIsNamed) {
  Manifest manifest = Sample();
  manifest.tensors.push_back(manifest.tensors[0]);
  const std::vector<ExpectedTensor> expected = {{"b", {}}, {"w", {2, 3}}};
  EXPECT_THAT(std::string(CheckComplete(manifest, {}, expected, "c").message()),
              HasSubstr("1 tensor there twice: w"));
}

TEST(VerifyTensorTest, FindsEveryFlippedBit) {
  const std::vector<float> data = {1, 2, 3};
  const auto bytes = std::as_bytes(std::span<const float>(data));
  InMemoryFileSystem disk;
  auto writer = SafetensorsWriter::Create(disk, "/f", {{"t", kF32, {3}}});
  ASSERT_TRUE((*writer)->Write("t", bytes).ok());
  Manifest manifest;
  manifest.AddFile("f", (*writer)->file_bytes(), *(*writer)->Finish());
  const std::string good((*disk.Map("/f"))->text());
  for (size_t bit = 0; bit < 96; ++bit) {
    std::string bad = good;
    char& byte = bad[good.size() - 12 + bit / 8];
    byte = static_cast<char>(byte ^ (1 << (bit % 8)));
    ASSERT_TRUE((*disk.Create("/g"))->Append(bad).ok());
    const absl::Status status =
        VerifyTensor(**SafetensorsReader::Open(disk, "/g"), manifest.tensors[0]);
    EXPECT_THAT(std::string(status.message()), HasSubstr("'/g': tensor 't' at data offset 0"));
  }
  auto reader = SafetensorsReader::Open(disk, "/f");
  EXPECT_TRUE(VerifyTensor(**reader, manifest.tensors[0]).ok());
  manifest.tensors[0].spec.shape = {1, 3};
  EXPECT_THAT(std::string(VerifyTensor(**reader, manifest.tensors[0]).message()),
              HasSubstr("is F32 [3]; the manifest says F32 [1, 3]"));
  // As after a flipped bit in the name, in the file's header.
  manifest.tensors[0].spec.name = "u";
  const absl::Status status = VerifyTensor(**reader, manifest.tensors[0]);
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("has no tensor 'u', which the manifest"));
}

TEST(HashTest, HexadecimalBothWays) {
  EXPECT_EQ(HashToHex(0xfedcba9876543210), "fedcba9876543210");
  EXPECT_EQ(HashFromHex("fedcba9876543210"), 0xfedcba9876543210);
  EXPECT_FALSE(HashFromHex("FEDCBA9876543210").has_value());
  EXPECT_FALSE(HashFromHex("fedcba987654321").has_value());
  // XXH3-64 of nothing, from the algorithm's own test vectors.
  EXPECT_EQ(Xxh3(std::string_view()), 0x2d06800538d394c2);
}

}  // namespace
}  // namespace equipoise
