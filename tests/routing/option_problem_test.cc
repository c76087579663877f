#include "routing/option_problem.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace equipoise::routing {
namespace {

TEST(OptionProblem, SurvivesJoiningAndAnyOtherError) {
  const absl::Status rate = OptionError({"bias.rate", {"bias.rule", "moe.top_k"}, "is 3"});
  EXPECT_EQ(rate.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(rate.message(), "bias.rate is 3");
  const absl::Status both =
      JoinErrors("router top_k", {absl::OkStatus(), rate, absl::InvalidArgumentError("no way")});
  EXPECT_EQ(both.message(), "router top_k: bias.rate is 3; no way");
  const std::vector<OptionProblem> problems = OptionProblemsOf(JoinErrors("", {both}));
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_EQ(problems[0].subject, "bias.rate");
  EXPECT_EQ(problems[0].others, (std::vector<std::string>{"bias.rule", "moe.top_k"}));
  EXPECT_EQ(problems[0].what, "is 3");
  EXPECT_EQ(problems[1].subject, "");
  EXPECT_TRUE(problems[1].others.empty());
  EXPECT_EQ(problems[1].what, "no way");
}

TEST(OptionProblem, NothingWrongIsOk) {
  EXPECT_TRUE(JoinErrors("router top_k", {absl::OkStatus()}).ok());
  EXPECT_TRUE(OptionProblemsOf(absl::OkStatus()).empty());
}

}  // namespace
}  // namespace equipoise::routing
