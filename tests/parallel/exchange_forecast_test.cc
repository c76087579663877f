// What is expected of an exchange is what it does: bytes to the last one, by the counting
// decorator; and "auto" takes what is expected to be fastest.

#include "parallel/exchange_forecast.h"

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "comm/backends/thread/run_ranks.h"
#include "comm/decorators/counting.h"
#include "core/base/rng.h"
#include "core/base/status_macros.h"
#include "gtest/gtest.h"
#include "parallel/auto_exchange.h"
#include "parallel/expert_exchange.h"
#include "tests/parallel/routing_scenario.h"
#include "tests/support/test_context.h"

namespace equipoise::parallel {
namespace {

constexpr int64_t kHidden = 24;

// Forward and backward of one layer.
absl::Status RunLayer(const Context& context, ExpertExchange& exchange,
                      const std::vector<ExchangePlan>& plans, testing_support::TestContext& memory,
                      int64_t num_tokens, int64_t top_k) {
  for (size_t i = 0; i < plans.size(); ++i) {
    const ExchangePlan& plan = plans[i];
    const TokenRange range =
        ChunkOfTokens(num_tokens, static_cast<int>(i), static_cast<int>(plans.size()));
    const TensorView x = memory.Zeros(DType::kF32, {range.size(), kHidden});
    const TensorView dgates = memory.Zeros(DType::kF32, {range.size(), top_k});
    Workspace& space = *context.activations;
    const WorkspaceFrame frame(*context.scratch);
    EQ_ASSIGN_OR_RETURN(PendingRows rows, exchange.Dispatch(context, space, plan, x, nullptr));
    EQ_ASSIGN_OR_RETURN(const TensorView in, rows.Wait());
    EQ_ASSIGN_OR_RETURN(rows, exchange.Combine(context, space, plan, in, x));
    EQ_ASSIGN_OR_RETURN(const TensorView kept, rows.Wait());
    EQ_ASSIGN_OR_RETURN(rows, exchange.CombineBackward(context, plan, kept, x, dgates));
    EQ_ASSIGN_OR_RETURN(const TensorView dout, rows.Wait());
    EQ_RETURN_IF_ERROR(exchange.DispatchBackward(context, plan, dout, x).status());
    EQ_RETURN_IF_ERROR(exchange.Drain());
  }
  return absl::OkStatus();
}

void ExpectCounted(const comm::RowMatrix& expected, const comm::ByteCounts& counted,
                   const std::vector<int64_t>& before, int rank, const std::string& what) {
  for (int peer = 0; peer < expected.num_ranks(); ++peer) {
    if (peer == rank) continue;
    EXPECT_EQ(counted.to(peer) - before[static_cast<size_t>(peer)], expected.at(rank, peer))
        << what << ", from " << rank << " to " << peer;
  }
}

absl::Status CheckScenario(comm::Communicator& world, const comm::Topology& topology,
                           const std::string& algorithm, int num_chunks,
                           comm::NodeTransport transport,
                           const testing_support::RoutingScenario& scenario) {
  testing_support::TestContext memory(size_t{1} << 26);
  const Context& context = memory.context();
  comm::ByteCounts counted(topology, world.rank());
  EQ_ASSIGN_OR_RETURN(const auto counting, comm::MakeCounting(world, context, counted));
  EQ_ASSIGN_OR_RETURN(const auto exchange,
                      MakeExpertExchange(algorithm, *counting, context, scenario.placement,
                                         {.costs = {.links = {}, .row_bytes = kHidden * 4},
                                          .num_chunks = num_chunks,
                                          .inside_nodes = transport}));
  const auto& chosen = scenario.ids[static_cast<size_t>(world.rank())];
  const int64_t tokens = scenario.num_tokens(world.rank());
  const TensorView ids = memory.Make(DType::kI32, {tokens, scenario.top_k},
                                     std::vector<double>(chosen.begin(), chosen.end()));
  const TensorView gates = memory.Zeros(DType::kF32, {tokens, scenario.top_k});
  // Until shared memory is as large as it will be: ranks agree on that by small collectives.
  for (int i = 0; i < 2; ++i) {
    EQ_ASSIGN_OR_RETURN(const ExchangeCounts first, exchange->Count(context, ids, {}));
    EQ_RETURN_IF_ERROR(
        exchange->Plan(context, *context.activations, first, ids, gates, {}).status());
  }
  EQ_ASSIGN_OR_RETURN(const ExchangeCounts counts, exchange->Count(context, ids, {}));
  std::vector<int64_t> before;
  for (int peer = 0; peer < world.size(); ++peer) before.push_back(counted.to(peer));
  EQ_ASSIGN_OR_RETURN(const std::vector<ExchangePlan> plans,
                      exchange->Plan(context, *context.activations, counts, ids, gates, {}));
  EQ_RETURN_IF_ERROR(RunLayer(context, *exchange, plans, memory, tokens, scenario.top_k));
  const comm::RowMatrix expected = BytesBetweenRanks(
      ForecastLayer(algorithm, topology, scenario.placement, counts,
                    {.row = kHidden * 4, .ids = scenario.top_k * 4, .gates = scenario.top_k * 4},
                    exchange->inside_nodes()));
  ExpectCounted(expected, counted, before, world.rank(),
                absl::StrCat(algorithm, ", ", scenario.name, ", ", num_chunks, " chunks"));
  return absl::OkStatus();
}

TEST(ExchangeForecast, CountsBytesExactly) {
  for (const std::vector<int>& nodes : std::vector<std::vector<int>>{
           {0, 0}, {0, 0, 1, 1}, {0, 1, 0, 1}, {0, 0, 0, 1}, {0, 1, 2, 0, 1, 0, 0}}) {
    comm::ThreadWorld::Options options;
    options.num_ranks = static_cast<int>(nodes.size());
    options.node_of_rank = nodes;
    const comm::Topology topology = *comm::Topology::FromNodes(nodes);
    const auto scenarios = testing_support::RoutingScenarios(options.num_ranks);
    const absl::Status status = comm::RunRanks(options, [&](comm::Communicator& world) {
      for (const auto& scenario : scenarios) {
        for (const char* algorithm : {"flat", "two_level", "two_level_dedup"}) {
          for (const int chunks : {1, 3}) {
            for (const auto transport :
                 {comm::NodeTransport::kMessages, comm::NodeTransport::kSharedMemory}) {
              EQ_RETURN_IF_ERROR(
                  CheckScenario(world, topology, algorithm, chunks, transport, scenario));
            }
          }
        }
      }
      return absl::OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status;
  }
}

// Counts of `tokens` tokens a rank that go to `top_k` of `experts` experts at random, on 2 x 2
// ranks.
absl::StatusOr<ExchangeCounts> RandomCounts(comm::Communicator& world, const Context& context,
                                            testing_support::TestContext& memory,
                                            const comm::Topology& topology, int64_t tokens,
                                            int experts, int top_k) {
  const Philox random(StreamKey(static_cast<uint64_t>(world.rank()), "experts"));
  std::vector<double> ids;
  uint64_t draw = 0;
  for (int64_t token = 0; token < tokens; ++token) {
    // Different ones: a random start and an odd step in a power of two.
    const uint64_t start = random.Below(static_cast<uint64_t>(experts), draw++);
    const uint64_t step = 2 * random.Below(static_cast<uint64_t>(experts), draw++) + 1;
    for (uint64_t k = 0; k < static_cast<uint64_t>(top_k); ++k) {
      ids.push_back(static_cast<double>((start + k * step) % static_cast<uint64_t>(experts)));
    }
  }
  return ExchangeCounts::Gather(world, context, topology,
                                routing::ExpertPlacement::Contiguous(experts, world.size()),
                                memory.Make(DType::kI32, {tokens, top_k}, ids), 1, {});
}

using RankBody = std::function<absl::Status(comm::Communicator&)>;

absl::Status OnNodes(const std::vector<int>& node_of_rank, const RankBody& body) {
  comm::ThreadWorld::Options options;
  options.num_ranks = static_cast<int>(node_of_rank.size());
  options.node_of_rank = node_of_rank;
  return comm::RunRanks(options, body);
}

absl::Status OnTwoByTwo(const RankBody& body) { return OnNodes({0, 0, 1, 1}, body); }

TEST(ExchangeForecast, DeduplicationSendsAtMostOneCopyOfATokenAcross) {
  const absl::Status status = OnTwoByTwo([](comm::Communicator& world) -> absl::Status {
    testing_support::TestContext memory(size_t{1} << 26);
    const comm::Topology topology = *comm::Topology::FromNodes({0, 0, 1, 1});
    constexpr int64_t kTokens = 2000;
    EQ_ASSIGN_OR_RETURN(const ExchangeCounts counts,
                        RandomCounts(world, memory.context(), memory, topology, kTokens, 64, 8));
    const auto placement = routing::ExpertPlacement::Contiguous(64, 4);
    const auto rows_across = [&](const char* algorithm) {
      const auto transfers = ForecastLayer(algorithm, topology, placement, counts, {.row = 1},
                                           comm::NodeTransport::kMessages);
      const comm::RowMatrix rows = comm::TotalRows(transfers.front().traffic);
      const auto by_link = comm::RowsByLink(topology, rows);
      return static_cast<double>(by_link[static_cast<size_t>(comm::LinkClass::kRemote)]) /
             (4.0 * kTokens);
    };
    // Half of 8 copies, within five standard deviations of a mean of 8000 draws (K/4 at most).
    EXPECT_NEAR(rows_across("flat"), 4.0, 5.0 * std::sqrt(16.0 / (4.0 * kTokens)));
    EXPECT_EQ(rows_across("two_level"), rows_across("flat"));
    EXPECT_LE(rows_across("two_level_dedup"), 1.0);
    EXPECT_GT(rows_across("two_level_dedup"), 0.9);
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
}

// Which algorithm "auto" takes on four ranks, with these costs of the remote link.
std::string ChosenWith(const comm::Link& remote, int64_t tokens, int experts, int top_k,
                       const std::vector<int>& node_of_rank = {0, 0, 1, 1}) {
  std::vector<std::string> chosen(4);
  const RankBody choose = [&](comm::Communicator& world) -> absl::Status {
    testing_support::TestContext memory(size_t{1} << 26);
    const Context& context = memory.context();
    comm::LinkModel links;
    links[comm::LinkClass::kSelf] = {1e-7, 1e-10};
    links[comm::LinkClass::kNode] = {1e-5, 1e-9};
    links[comm::LinkClass::kRemote] = remote;
    const ExchangeCosts costs = {MakeLinkEstimate(links, {}), 1024};
    EQ_ASSIGN_OR_RETURN(
        const auto exchange,
        MakeExpertExchange("auto", world, context, routing::ExpertPlacement::Contiguous(experts, 4),
                           {.costs = costs}));
    EQ_ASSIGN_OR_RETURN(
        const ExchangeCounts counts,
        RandomCounts(world, context, memory, exchange->topology(), tokens, experts, top_k));
    const TensorView ids = memory.Zeros(DType::kI32, {tokens, top_k});
    const TensorView gates = memory.Zeros(DType::kF32, {tokens, top_k});
    // The counts alone decide: the plan itself needs ids that agree with them.
    const std::string& best =
        static_cast<AutoExchange&>(*exchange).Choose(counts, ids, gates).name();
    chosen[static_cast<size_t>(world.rank())] = best;
    return absl::OkStatus();
  };
  const absl::Status status = OnNodes(node_of_rank, choose);
  EXPECT_TRUE(status.ok()) << status;
  for (const std::string& name : chosen) EXPECT_EQ(name, chosen[0]);
  return chosen[0];
}

TEST(AutoExchange, TakesWhatIsExpectedToBeFastest) {
  // Many copies a token and a slow link: bytes count.
  EXPECT_EQ(ChosenWith({1e-4, 1e-8}, 512, 64, 8), "two_level_dedup");
  // One copy a token: nothing to deduplicate.
  EXPECT_EQ(ChosenWith({1e-5, 1e-8}, 512, 16, 1), "flat");
  // A message costs as much as a megabyte, and rows are few.
  EXPECT_EQ(ChosenWith({1e-2, 1e-8}, 4, 16, 1), "two_level");
  // A link across that is as fast as one inside: an extra step inside is not worth it.
  EXPECT_EQ(ChosenWith({1e-5, 1e-9}, 512, 16, 1), "flat");
  // One node: two_level would be flat by another name.
  EXPECT_EQ(ChosenWith({1e-5, 1e-8}, 512, 16, 1, {0, 0, 0, 0}), "flat");
  // A rank a node: no step inside, and a token in ten has both copies on one node. That is enough.
  EXPECT_EQ(ChosenWith({1e-5, 1e-8}, 512, 16, 2, {0, 1, 2, 3}), "two_level_dedup");
  EXPECT_EQ(ChosenWith({1e-5, 1e-8}, 512, 16, 1, {0, 1, 2, 3}), "flat");
}

}  // namespace
}  // namespace equipoise::parallel
