#include "comm/backends/self/communicator.h"
#include "gtest/gtest.h"
#include "tests/conformance/cases.h"

namespace equipoise::conformance {
namespace {

class SelfConformance : public ::testing::TestWithParam<Case> {};

TEST_P(SelfConformance, Holds) {
  const auto world = comm::MakeSelfCommunicator();
  const absl::Status status = GetParam().body(*world);
  EXPECT_TRUE(status.ok()) << status;
}

INSTANTIATE_TEST_SUITE_P(All, SelfConformance, ::testing::ValuesIn(AllCases()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace equipoise::conformance
