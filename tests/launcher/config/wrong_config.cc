#include "tests/launcher/config/wrong_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tests/launcher/config/config_text.h"

namespace equipoise::launcher {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

void ExpectOneProblem(const absl::Status& status, const std::string& place,
                      const std::string& message) {
  ASSERT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  const std::vector<std::string> problems = Problems(status);
  ASSERT_THAT(problems, SizeIs(1)) << status.message();
  EXPECT_THAT(problems[0], StartsWith(place));
  EXPECT_THAT(problems[0], HasSubstr(message));
}

}  // namespace

void ExpectToldAtItsPlace(const WrongLine& wrong) {
  const std::string file = absl::StrCat(wrong.name, ".textproto");
  const std::string path = WriteConfig(file, WithLine(wrong.line, wrong.text));
  ExpectOneProblem(Load(path).status(), absl::StrCat(file, ":", wrong.place, ": "), wrong.message);
}

void ExpectToldWithItsNumber(const WrongOverride& wrong) {
  const std::string path = WriteConfig("override.textproto", ValidText());
  ExpectOneProblem(Load(path, wrong.overrides, wrong.num_ranks).status(), "--set #", wrong.problem);
}

}  // namespace equipoise::launcher
