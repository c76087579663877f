#include "parallel/data_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace equipoise::parallel {
namespace {

using ::testing::ElementsAre;

const std::vector<DomainFingerprint> kData = {{"prose", 1000, 7, "00ff"}, {"code", 30, 2, "1234"}};

TEST(DataRecord, ComesBack) {
  Manifest manifest;
  RecordData(kData, manifest);
  const auto same = CompareData(manifest, kData);
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_THAT(*same, ElementsAre());
  std::vector<DomainFingerprint> other = kData;
  other[1].documents = 3;
  EXPECT_THAT(*CompareData(manifest, other),
              ElementsAre("domain 'code' has 2 documents there and 3 here"));
}

TEST(DataRecord, OldCheckpointsHaveNone) {
  EXPECT_EQ(CompareData(Manifest(), kData).status().code(), absl::StatusCode::kNotFound);
}

TEST(DataRecord, DamageIsFound) {
  for (const char* text : {"3", "[3]", "[{}]", R"([{"domain":"a","tokens":"b"}])"}) {
    Manifest manifest;
    manifest.state["data"] = nlohmann::json::parse(text);
    EXPECT_EQ(CompareData(manifest, kData).status().code(), absl::StatusCode::kDataLoss) << text;
  }
}

}  // namespace
}  // namespace equipoise::parallel
