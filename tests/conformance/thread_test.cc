#include <tuple>

#include "absl/strings/str_cat.h"
#include "comm/backends/thread/run_ranks.h"
#include "gtest/gtest.h"
#include "tests/conformance/cases.h"

namespace equipoise::conformance {
namespace {

class ThreadConformance : public ::testing::TestWithParam<std::tuple<int, Case>> {};

TEST_P(ThreadConformance, Holds) {
  const auto& [num_ranks, property] = GetParam();
  const absl::Status status = comm::RunRanks(num_ranks, property.body);
  EXPECT_TRUE(status.ok()) << status;
}

INSTANTIATE_TEST_SUITE_P(All, ThreadConformance,
                         ::testing::Combine(::testing::Values(1, 2, 4, 7),
                                            ::testing::ValuesIn(AllCases())),
                         [](const auto& info) {
                           return absl::StrCat(std::get<1>(info.param).name, "_",
                                               std::get<0>(info.param));
                         });

}  // namespace
}  // namespace equipoise::conformance
