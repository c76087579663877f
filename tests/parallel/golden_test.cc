// Whole training runs against PyTorch in double precision, on one rank and with the experts
// sharded; under mpirun the same runs are in mpi_test.cc.

#include <string>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "comm/backends/thread/run_ranks.h"
#include "gtest/gtest.h"
#include "tests/parallel/golden_run.h"

namespace equipoise::parallel {
namespace {

class GoldenTest : public ::testing::TestWithParam<std::tuple<std::string, int, bool>> {};

TEST_P(GoldenTest, TrainsAsPyTorchDoes) {
  const auto& [name, ranks, recompute] = GetParam();
  const std::string& golden = name;
  const bool again = recompute;
  const absl::Status status = comm::RunRanks(ranks, [&](comm::Communicator& world) {
    return testing_support::TrainAgainstGolden(world, golden, again);
  });
  EXPECT_TRUE(status.ok()) << status;
}

INSTANTIATE_TEST_SUITE_P(Variants, GoldenTest,
                         ::testing::Combine(::testing::ValuesIn(testing_support::Goldens()),
                                            ::testing::Values(1, 3, 4),
                                            ::testing::Values(false, true)),
                         [](const auto& info) {
                           return absl::StrCat(std::get<0>(info.param), "_ranks",
                                               std::get<1>(info.param),
                                               std::get<2>(info.param) ? "_recompute" : "");
                         });

}  // namespace
}  // namespace equipoise::parallel
