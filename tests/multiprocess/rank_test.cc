#include "tests/multiprocess/rank_test.h"

#include <iostream>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "comm/backends/mpi/communicator.h"
#include "gtest/gtest.h"

namespace equipoise::multiprocess {
namespace {

class RankTest : public ::testing::Test {
 public:
  RankTest(comm::Communicator& world, RankBody body) : world_(world), body_(std::move(body)) {}

  void TestBody() override {
    const absl::Status status = body_(world_);
    EXPECT_TRUE(status.ok()) << "rank " << world_.rank() << " of " << world_.size() << ": "
                             << status;
    if (HasFailure()) world_.Abort(absl::InternalError("a test failed on this rank"));
  }

 private:
  comm::Communicator& world_;
  const RankBody body_;
};

// Rank 0 reports progress; of the others only failures are of interest.
class FailuresOnly : public ::testing::EmptyTestEventListener {
  void OnTestPartResult(const ::testing::TestPartResult& result) override {
    if (result.failed()) std::cerr << result << std::endl;
  }
};

int Main(int argc, char** argv) {
  absl::StatusOr<std::unique_ptr<comm::MpiWorld>> world = comm::MpiWorld::Create(&argc, &argv);
  if (!world.ok()) {
    std::cerr << world.status() << std::endl;
    return 1;
  }
  ::testing::InitGoogleTest(&argc, argv);
  comm::Communicator& communicator = (*world)->communicator();
  if (communicator.rank() != 0) {
    ::testing::TestEventListeners& listeners = ::testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new FailuresOnly);
  }
  RegisterRankTests(communicator);
  return RUN_ALL_TESTS();
}

}  // namespace

void AddRankTest(comm::Communicator& world, const std::string& suite, const std::string& name,
                 RankBody body) {
  ::testing::RegisterTest(
      suite.c_str(), name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
      [&world, body = std::move(body)]() -> ::testing::Test* { return new RankTest(world, body); });
}

}  // namespace equipoise::multiprocess

int main(int argc, char** argv) { return equipoise::multiprocess::Main(argc, argv); }
