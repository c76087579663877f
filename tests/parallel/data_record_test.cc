#include "parallel/data_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "core/io/checkpoint_directory.h"

namespace equipoise::parallel {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const RunData kData = {{{"prose", 1000, 7, "00ff"}, {"code", 30, 2, "1234"}},
                       {{"prose", 50, 1, "0001"}}};

Checkpoint Recorded(const RunData& data) {
  Checkpoint checkpoint;
  checkpoint.path = "ckpt/step-00000002";
  RecordData(data, checkpoint.manifest);
  return checkpoint;
}

std::string MessageOf(const RunData& there, const RunData& here) {
  const auto warnings = CheckSameData(Recorded(there), here, /*allow_other=*/false);
  EXPECT_TRUE(absl::IsFailedPrecondition(warnings.status()));
  return std::string(warnings.status().message());
}

TEST(DataRecord, ComesBack) {
  const auto same = CheckSameData(Recorded(kData), kData, /*allow_other=*/false);
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_THAT(*same, IsEmpty());
}

TEST(DataRecord, OtherTrainingDataIsRefusedOrWarnedOf) {
  RunData other = kData;
  other.training[1].documents = 3;
  EXPECT_EQ(MessageOf(kData, other),
            "the checkpoint ckpt/step-00000002 was trained on other data: domain 'code' has 2 "
            "documents there and 3 here. Give the run the data it had (data.root, data.domain), "
            "or set data.allow_change to go on with this");
  const auto allowed = CheckSameData(Recorded(kData), other, /*allow_other=*/true);
  ASSERT_TRUE(allowed.ok()) << allowed.status();
  EXPECT_THAT(*allowed, ElementsAre("the checkpoint ckpt/step-00000002 was trained on other data: "
                                    "domain 'code' has 2 documents there and 3 here"));
}

TEST(DataRecord, OtherValidationDataToo) {
  RunData other = kData;
  other.validation[0].sample = "0002";
  EXPECT_THAT(MessageOf(kData, other),
              HasSubstr("was validated on other data: domain 'prose' has as many tokens, but "
                        "others. Give the run"));
  other.training[0].tokens = 999;
  EXPECT_THAT(MessageOf(kData, other),
              HasSubstr("1000 tokens there and 999 here; the checkpoint ckpt/step-00000002 was "
                        "validated on other data"));
  EXPECT_EQ(CheckSameData(Recorded(kData), other, /*allow_other=*/true)->size(), 2u);
}

TEST(DataRecord, ValidationMayBeginAndEnd) {
  RunData without = kData;
  without.validation.clear();
  for (const auto& [there, here] : {std::pair(kData, without), std::pair(without, kData)}) {
    const auto same = CheckSameData(Recorded(there), here, /*allow_other=*/false);
    ASSERT_TRUE(same.ok()) << same.status();
    EXPECT_THAT(*same, IsEmpty());
  }
}

TEST(DataRecord, OldCheckpointsHaveNone) {
  const auto warnings = CheckSameData(Checkpoint(), kData, /*allow_other=*/false);
  ASSERT_TRUE(warnings.ok()) << warnings.status();
  EXPECT_THAT(*warnings, ElementsAre(HasSubstr("does not say what it was trained on")));
}

TEST(DataRecord, DamageIsFound) {
  for (const char* key : {"data", "validation_data"}) {
    for (const char* text : {"3", "[3]", "[{}]", R"([{"domain":"a","tokens":"b"}])"}) {
      Checkpoint checkpoint = Recorded(kData);
      checkpoint.manifest.state[key] = nlohmann::json::parse(text);
      const auto warnings = CheckSameData(checkpoint, kData, /*allow_other=*/true);
      EXPECT_TRUE(absl::IsFailedPrecondition(warnings.status())) << key << text;
      EXPECT_THAT(std::string(warnings.status().message()), HasSubstr(key));
    }
  }
}

}  // namespace
}  // namespace equipoise::parallel
