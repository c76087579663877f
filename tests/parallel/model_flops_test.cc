#include "parallel/model_flops.h"

#include <memory>
#include <vector>

#include "comm/backends/thread/run_ranks.h"
#include "core/base/status_macros.h"
#include "core/device/device.h"
#include "core/device/workspace.h"
#include "gtest/gtest.h"

namespace equipoise::parallel {
namespace {

// Two layers, the first dense: every extent is another prime.
TEST(ModelFlopsTest, CountsEveryProductOfTheModelOnce) {
  ModelOptions model;
  model.vocabulary = 101;
  model.hidden = 7;
  model.num_layers = 2;
  model.num_heads = 3;
  model.num_kv_heads = 1;
  model.head_dim = 2;
  model.num_dense_layers = 1;
  model.dense_width = 11;
  model.moe.expert_width = 13;
  model.moe.shared_expert_width = 17;
  model.moe.router.num_experts = 5;
  model.moe.router.top_k = 2;
  // A token's multiplications: queries and outputs 7 x 6 each, keys and values 7 x 2 each, half of
  // 19 scores and of 19 weighted sums of 6; SwiGLU has three matrices.
  const double attention = 2 * 7 * 6 + 2 * 7 * 2 + 2 * 19 * 6 / 2.0;
  const double dense = 3 * 7 * 11;
  const double experts = 2 * (3 * 7 * 13) + 3 * 7 * 17 + 7 * 5;
  const double forward = 2.0 * (2 * attention + dense + experts + 7 * 101);
  EXPECT_DOUBLE_EQ(TrainingFlopsPerToken(model, 19), 3.0 * forward);
}

TEST(ModelFlopsTest, AllRanksHearTheRateOfAllTogether) {
  constexpr int kRanks = 3;
  std::vector<double> rates(kRanks);
  const absl::Status status =
      comm::RunRanks(kRanks, [&](comm::Communicator& world) -> absl::Status {
        const std::unique_ptr<Device> device = MakeCpuDevice();
        EQ_ASSIGN_OR_RETURN(const auto scratch, Workspace::Create(*device, size_t{1} << 22));
        const Context context = {device.get(), nullptr, scratch.get(), scratch.get()};
        EQ_ASSIGN_OR_RETURN(rates[static_cast<size_t>(world.rank())],
                            MeasureGemmRate(world, context));
        return absl::OkStatus();
      });
  ASSERT_TRUE(status.ok()) << status;
  // No product of a core has fewer than 10 million operations a second, or more than 10^15.
  EXPECT_GT(rates[0], kRanks * 1e7);
  EXPECT_LT(rates[0], kRanks * 1e15);
  EXPECT_EQ(rates, std::vector<double>(kRanks, rates[0]));
}

}  // namespace
}  // namespace equipoise::parallel
