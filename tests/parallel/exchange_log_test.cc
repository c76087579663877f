// What a step says of its exchanges: the same however the step is cut, and what follows from the
// routing where that is known.

#include "parallel/exchange_log.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <mutex>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "comm/backends/thread/run_ranks.h"
#include "comm/exchange/transfer.h"
#include "core/base/status_macros.h"
#include "core/device/device.h"
#include "gtest/gtest.h"
#include "parallel/train_step.h"
#include "tests/parallel/tiny_model.h"

namespace equipoise::parallel {
namespace {

constexpr int64_t kSequences = 8;
constexpr double kTokens = kSequences * 8;  // sequences of 8
constexpr double kRowBytes = 16 * 4;        // a row of the tiny model

struct MeasuredStep {
  StepResult result;
  // Of each layer, summed over ranks: by its own clock, whatever ran in the step.
  std::vector<comm::TransferTimes> times;
};

// The second step (the first one measured nothing before it) of the tiny model; `change` may alter
// its options. A validation runs in between, of which nothing may be left.
MeasuredStep MeasureSecondStep(std::vector<int> node_of_rank,
                               const std::function<void(TrainOptions&)>& change) {
  comm::ThreadWorld::Options world_options;
  world_options.num_ranks = static_cast<int>(node_of_rank.size());
  world_options.node_of_rank = std::move(node_of_rank);
  MeasuredStep measured;
  std::mutex mutex;
  const absl::Status status =
      comm::RunRanks(world_options, [&](comm::Communicator& world) -> absl::Status {
        TrainOptions options = testing_support::TinyOptions(DType::kF32, kSequences);
        // The same load, and so the same routing, however the step is cut.
        options.batch.load_source = LoadSource::kPreviousStep;
        change(options);
        const std::unique_ptr<Device> device = MakeCpuDevice();
        const SampleSource text = testing_support::SyntheticText(options.model.vocabulary, 1);
        EQ_ASSIGN_OR_RETURN(const auto step, TrainStep::Create(*device, world, options, 1));
        EQ_RETURN_IF_ERROR(step->Run(text, 1).status());
        EQ_RETURN_IF_ERROR(step->Evaluate(text, 5).status());
        const int layers = static_cast<int>(step->model().routers().size());
        for (int i = 0; i < layers; ++i) step->model().moe_layer(i).TakeTransferTimes();
        EQ_ASSIGN_OR_RETURN(const StepResult second, step->Run(text, 2));
        const std::lock_guard<std::mutex> lock(mutex);
        if (world.rank() == 0) measured.result = second;
        measured.times.resize(static_cast<size_t>(layers));
        for (int i = 0; i < layers; ++i) {
          const comm::TransferTimes times = step->model().moe_layer(i).TakeTransferTimes();
          measured.times[static_cast<size_t>(i)] += times;
        }
        return absl::OkStatus();
      });
  EXPECT_TRUE(status.ok()) << status;
  return measured;
}

StepResult SecondStep(std::vector<int> node_of_rank,
                      const std::function<void(TrainOptions&)>& change) {
  return MeasureSecondStep(std::move(node_of_rank), change).result;
}

// What does not depend on how a step is cut.
void ExpectSameRouting(const ExchangeSums& a, const ExchangeSums& b) {
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.copies, b.copies);
  EXPECT_EQ(a.rank_copies, b.rank_copies);
  EXPECT_EQ(a.node_copies, b.node_copies);
  EXPECT_EQ(a.token_nodes, b.token_nodes);
  EXPECT_EQ(a.mean_rows, b.mean_rows);
}

double Total(const std::vector<double>& loads) {
  return std::accumulate(loads.begin(), loads.end(), 0.0);
}

TEST(ExchangeLog, SaysWhatFollowsFromTheRouting) {
  const StepResult result = SecondStep({0, 0, 1, 1}, [](TrainOptions&) {});
  ASSERT_EQ(result.layers.size(), 2u);
  double across = 0.0;
  for (const MoeLayerResult& layer : result.layers) {
    const ExchangeSums& sums = layer.exchange;
    EXPECT_EQ(sums.tokens, kTokens);
    EXPECT_EQ(sums.copies, 2 * kTokens);
    EXPECT_LE(sums.rank_copies, sums.node_copies);
    EXPECT_LT(sums.node_copies, sums.copies);
    EXPECT_GE(sums.token_nodes, kTokens);
    EXPECT_LE(sums.token_nodes, 2 * kTokens);
    // Four transfers of every copy, by the flat algorithm.
    EXPECT_EQ(sums.algorithm, "flat");
    EXPECT_EQ(sums.bytes[0], 4 * kRowBytes * sums.rank_copies);
    EXPECT_EQ(sums.bytes[1], 4 * kRowBytes * (sums.node_copies - sums.rank_copies));
    EXPECT_EQ(sums.bytes[2], 4 * kRowBytes * (sums.copies - sums.node_copies));
    EXPECT_EQ(sums.mean_rows, sums.copies / 4);
    EXPECT_GE(sums.max_rows, sums.mean_rows);
    EXPECT_GT(sums.predicted_seconds, 0.0);
    EXPECT_GT(sums.measured_seconds, 0.0);
    EXPECT_LT(sums.measured_seconds, 60.0);
    across += sums.bytes[2];
  }
  ASSERT_EQ(result.num_nodes, 2);
  ASSERT_EQ(result.node_bytes.size(), 4u);
  EXPECT_EQ(result.node_bytes[1] + result.node_bytes[2], across);
  // What goes out in one transfer comes back in the next.
  EXPECT_EQ(result.node_bytes[1], result.node_bytes[2]);
}

TEST(ExchangeLog, DoesNotDependOnHowAStepIsCut) {
  const std::vector<int> nodes = {0, 0, 1, 1};
  const StepResult plain = SecondStep(nodes, [](TrainOptions&) {});
  const StepResult again =
      SecondStep(nodes, [](TrainOptions& options) { options.layout.recompute = true; });
  const StepResult cut =
      SecondStep(nodes, [](TrainOptions& options) { options.batch.accumulation_steps = 2; });
  const StepResult groups =
      SecondStep(nodes, [](TrainOptions& options) { options.layout.expert_parallel = 2; });
  for (size_t i = 0; i < plain.layers.size(); ++i) {
    const ExchangeSums& expected = plain.layers[i].exchange;
    ExpectSameRouting(again.layers[i].exchange, expected);
    EXPECT_EQ(again.layers[i].exchange.bytes, expected.bytes);
    ExpectSameRouting(cut.layers[i].exchange, expected);
    EXPECT_EQ(cut.layers[i].exchange.bytes, expected.bytes);
    EXPECT_GE(cut.layers[i].exchange.max_rows, expected.max_rows);
    // Two groups, one a node: every token is counted once, and nothing leaves its node.
    EXPECT_EQ(groups.layers[i].exchange.tokens, expected.tokens);
    EXPECT_EQ(groups.layers[i].exchange.copies, expected.copies);
    EXPECT_EQ(groups.layers[i].exchange.node_copies, expected.copies);
    EXPECT_EQ(groups.layers[i].exchange.bytes[2], 0.0);
  }
  EXPECT_EQ(again.node_bytes, plain.node_bytes);
  EXPECT_EQ(cut.node_bytes, plain.node_bytes);
  EXPECT_EQ(groups.node_bytes[1] + groups.node_bytes[2], 0.0);
}

TEST(ExchangeLog, TellsExposedFromHiddenTransfers) {
  const std::vector<int> nodes = {0, 0, 1, 1};
  for (const bool recompute : {false, true}) {
    const MeasuredStep step = MeasureSecondStep(nodes, [&](TrainOptions& options) {
      options.batch.accumulation_steps = 2;
      options.layout.recompute = recompute;
      options.layout.exchange_chunks = 2;
    });
    ASSERT_EQ(step.result.layers.size(), step.times.size());
    for (size_t i = 0; i < step.times.size(); ++i) {
      const ExchangeSums& sums = step.result.layers[i].exchange;
      const double exposed = step.times[i].blocked / 4;
      const double hidden = step.times[i].hidden / 4;
      EXPECT_GT(sums.exposed_seconds + sums.hidden_seconds, 0.0);
      EXPECT_GE(sums.hidden_seconds, 0.0);
      // Waits are in the phases dispatch and combine.
      EXPECT_LE(sums.exposed_seconds, sums.measured_seconds);
      if (recompute) {
        // The second forward pass is not counted.
        EXPECT_LT(sums.exposed_seconds + sums.hidden_seconds, exposed + hidden);
      } else {
        EXPECT_NEAR(sums.exposed_seconds, exposed, 1e-9);
        EXPECT_NEAR(sums.hidden_seconds, hidden, 1e-9);
      }
    }
  }
}

// Nothing is computed while the one chunk travels.
TEST(ExchangeLog, NothingIsHiddenWithoutComputation) {
  for (const char* exchange : {"flat", "two_level"}) {
    const MeasuredStep plain = MeasureSecondStep({0, 0, 1, 1}, [&](TrainOptions& options) {
      options.layout.exchange = exchange;
      options.model.moe.shared_expert_width = 0;
    });
    for (const MoeLayerResult& layer : plain.result.layers) {
      EXPECT_EQ(layer.exchange.hidden_seconds, 0.0) << exchange;
      EXPECT_GT(layer.exchange.exposed_seconds, 0.0) << exchange;
    }
    const MeasuredStep chunks = MeasureSecondStep({0, 0, 1, 1}, [&](TrainOptions& options) {
      options.layout.exchange = exchange;
      options.layout.exchange_chunks = 2;
    });
    for (const comm::TransferTimes& times : chunks.times) {
      EXPECT_GT(times.hidden, 0.0) << exchange;
      EXPECT_LE(times.hidden + times.blocked, times.in_flight) << exchange;
    }
  }
}

TEST(ExchangeLog, CountsWhatRanksReceiveAfterCapacity) {
  const std::vector<int> nodes = {0, 0, 1, 1};
  const StepResult all = SecondStep(nodes, [](TrainOptions&) {});
  for (const MoeLayerResult& layer : all.layers) {
    // Two experts a rank: as many as were chosen.
    ASSERT_EQ(layer.exchange.rank_loads.size(), 4u);
    for (size_t rank = 0; rank < 4; ++rank) {
      EXPECT_EQ(layer.exchange.rank_loads[rank], layer.sums[2 * rank] + layer.sums[2 * rank + 1]);
    }
  }
  const auto few = [](TrainOptions& options) {
    // One copy an expert and sequence.
    options.model.moe.router.capacity.factor = 0.1;
  };
  const StepResult dropped = SecondStep(nodes, few);
  const StepResult cut = SecondStep(nodes, [&](TrainOptions& options) {
    few(options);
    options.batch.accumulation_steps = 2;
    options.layout.recompute = true;
  });
  const StepResult groups = SecondStep(nodes, [&](TrainOptions& options) {
    few(options);
    options.layout.expert_parallel = 2;
  });
  for (size_t i = 0; i < dropped.layers.size(); ++i) {
    const MoeLayerResult& layer = dropped.layers[i];
    const std::vector<double>& loads = layer.exchange.rank_loads;
    EXPECT_LE(*std::max_element(loads.begin(), loads.end()), 2 * kSequences);
    EXPECT_EQ(Total(loads), layer.exchange.copies);
    EXPECT_EQ(Total(loads), 2 * kTokens - layer.sums[8]) << "chosen less dropped";
    EXPECT_EQ(cut.layers[i].exchange.rank_loads, loads);
    ASSERT_EQ(groups.layers[i].exchange.rank_loads.size(), 2u);
    EXPECT_EQ(groups.layers[i].exchange.rank_loads[0], loads[0] + loads[1]);
    EXPECT_EQ(groups.layers[i].exchange.rank_loads[1], loads[2] + loads[3]);
  }
}

TEST(ExchangeLog, NamesWhatAutoHasChosen) {
  // Bytes across are dear: all go once.
  const StepResult dear = SecondStep({0, 0, 1, 1}, [](TrainOptions& options) {
    options.layout.exchange = "auto";
    options.model.moe.router.top_k = 6;
    options.layout.links[comm::LinkClass::kRemote] = {1e-9, 1e-5};
  });
  for (const MoeLayerResult& layer : dear.layers) {
    EXPECT_EQ(layer.exchange.algorithm, "two_level_dedup");
    EXPECT_LT(layer.exchange.bytes[2],
              4 * kRowBytes * (layer.exchange.copies - layer.exchange.node_copies));
  }
  // On one node, where every message is dear, nothing is passed on.
  const StepResult near = SecondStep({0, 0, 0, 0}, [](TrainOptions& options) {
    options.layout.exchange = "auto";
    options.layout.links[comm::LinkClass::kNode] = {1e-2, 1e-9};
  });
  for (const MoeLayerResult& layer : near.layers) EXPECT_EQ(layer.exchange.algorithm, "flat");
}

}  // namespace
}  // namespace equipoise::parallel
