#include "launcher/commands/launch.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "absl/status/status.h"
#include "launcher/commands/exit_code.h"

namespace equipoise::launcher {
namespace {

Launch Detect(const std::map<std::string, std::string>& environment) {
  return DetectLaunch([&](const char* name) -> const char* {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second.c_str();
  });
}

TEST(DetectLaunch, ReadsLaunchersAndNothingElse) {
  EXPECT_FALSE(Detect({}).num_ranks.has_value());
  EXPECT_EQ(Detect({}).rank, 0);
  const Launch open_mpi = Detect({{"OMPI_COMM_WORLD_RANK", "3"}, {"OMPI_COMM_WORLD_SIZE", "7"}});
  EXPECT_EQ(open_mpi.rank, 3);
  EXPECT_EQ(open_mpi.num_ranks, 7);
  const Launch mpich = Detect({{"PMI_RANK", "0"}, {"PMI_SIZE", "2"}});
  EXPECT_EQ(mpich.num_ranks, 2);
  EXPECT_FALSE(Detect({{"OMPI_COMM_WORLD_RANK", "3"}}).num_ranks.has_value());
  EXPECT_FALSE(Detect({{"PMI_RANK", "x"}, {"PMI_SIZE", "2"}}).num_ranks.has_value());
  EXPECT_FALSE(Detect({{"PMI_RANK", "2"}, {"PMI_SIZE", "2"}}).num_ranks.has_value());
}

TEST(FailJob, RankZeroReportsWithALineEnd) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(FailJob(Launch(), "what", ExitCode::kData), 3);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "what\n");
}

TEST(ExitCode, ComesFromTheCodeUnlessGiven) {
  EXPECT_EQ(ExitCodeOf(absl::OkStatus()), ExitCode::kDone);
  EXPECT_EQ(ExitCodeOf(absl::InvalidArgumentError("")), ExitCode::kConfig);
  EXPECT_EQ(ExitCodeOf(absl::OutOfRangeError("")), ExitCode::kData);
  EXPECT_EQ(ExitCodeOf(absl::DataLossError("")), ExitCode::kCheckpoint);
  EXPECT_EQ(ExitCodeOf(absl::AbortedError("")), ExitCode::kRetry);
  EXPECT_EQ(ExitCodeOf(absl::InternalError("")), ExitCode::kOther);
  const absl::Status given = WithExitCode(absl::DataLossError("nan"), ExitCode::kNumerics);
  EXPECT_EQ(ExitCodeOf(given), ExitCode::kNumerics);
  EXPECT_EQ(given.code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(WithExitCode(absl::OkStatus(), ExitCode::kNumerics).ok());
}

}  // namespace
}  // namespace equipoise::launcher
