#include "launcher/commands/flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/reflection.h"

ABSL_FLAG(std::string, test_text, "", "A text.");
ABSL_FLAG(bool, test_switch, false, "A switch.");
ABSL_FLAG(int, test_number, 7, "A number.\nSecond line.");
ABSL_FLAG(std::string, test_many, "", "Repeatable.");
ABSL_FLAG(std::string, test_other, "", "A flag of another command.");

namespace equipoise::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FlagsTest : public testing::Test {
 protected:
  absl::Status Parse(const std::vector<std::string>& arguments) {
    return ParseFlags(arguments, uses_);
  }
  std::string Problems(const std::vector<std::string>& arguments) {
    return std::string(Parse(arguments).message());
  }

  absl::FlagSaver saver_;
  std::vector<std::string> many_;
  const std::vector<FlagUse> uses_ = {{"test_text", "TEXT"},
                                      {"test_switch", ""},
                                      {"test_number", "NUMBER"},
                                      {"test_many", "X", &many_}};
};

TEST_F(FlagsTest, TakesBothForms) {
  ASSERT_TRUE(Parse({"--test_text=a=b", "--test_number", "-3", "-test_switch"}).ok());
  EXPECT_EQ(absl::GetFlag(FLAGS_test_text), "a=b");
  EXPECT_EQ(absl::GetFlag(FLAGS_test_number), -3);
  EXPECT_TRUE(absl::GetFlag(FLAGS_test_switch));
}

TEST_F(FlagsTest, SwitchesCanBeNegated) {
  ASSERT_TRUE(Parse({"--test_switch=true"}).ok());
  EXPECT_TRUE(absl::GetFlag(FLAGS_test_switch));
  ASSERT_TRUE(Parse({"--notest_switch"}).ok());
  EXPECT_FALSE(absl::GetFlag(FLAGS_test_switch));
}

TEST_F(FlagsTest, RepeatableFlagsKeepEveryValue) {
  ASSERT_TRUE(Parse({"--test_many=1", "--test_many", "b=2", "--test_many=1"}).ok());
  EXPECT_THAT(many_, ElementsAre("1", "b=2", "1"));
}

TEST_F(FlagsTest, EveryMistakeIsTold) {
  const std::string problems =
      Problems({"--test_txt=x", "word", "--test_number=many", "--test_switch=maybe",
                "--test_other=x", "--test_text", "a", "--test_text=b", "--test_number"});
  EXPECT_THAT(problems, HasSubstr("unknown flag --test_txt; did you mean --test_text?"));
  EXPECT_THAT(problems, HasSubstr("unexpected argument 'word'"));
  EXPECT_THAT(problems, HasSubstr("--test_number=many: expected NUMBER"));
  EXPECT_THAT(problems, HasSubstr("--test_switch=maybe: expected true or false"));
  EXPECT_THAT(problems, HasSubstr("unknown flag --test_other"));
  EXPECT_THAT(problems, HasSubstr("--test_text is given twice"));
  EXPECT_THAT(problems, HasSubstr("--test_number needs a value: --test_number=NUMBER"));
}

TEST_F(FlagsTest, AnEmptyValueIsNoValue) {
  EXPECT_EQ(Problems({"--test_text="}),
            "--test_text is given an empty value: name TEXT; is a shell variable not set?");
  EXPECT_EQ(Problems({"--test_text", "", "--test_number="}),
            "--test_text is given an empty value: name TEXT; is a shell variable not set?\n"
            "--test_number is given an empty value: name NUMBER; is a shell variable not set?");
  EXPECT_EQ(absl::GetFlag(FLAGS_test_number), 7);
}

TEST_F(FlagsTest, HelpIsSuggested) {
  EXPECT_EQ(Problems({"--hlep"}), "unknown flag --hlep; did you mean --help?");
}

TEST_F(FlagsTest, HelpNamesEveryFlag) {
  EXPECT_EQ(DescribeFlags({{"test_switch", ""}, {"test_number", "N"}, {"test_many", "X", &many_}}),
            "  --test_switch\n      A switch.\n"
            "  --test_number=N\n      A number.\n      Second line.\n"
            "  --test_many=X   (may be repeated)\n      Repeatable.\n");
}

}  // namespace
}  // namespace equipoise::launcher
