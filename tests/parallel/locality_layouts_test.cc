// Logical nodes: a run with so many of them has the same losses and counts on any layout, and they
// are where the machines are if there are as many.

#include "parallel/logical_nodes.h"

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "comm/backends/thread/run_ranks.h"
#include "comm/topology.h"
#include "core/base/status_macros.h"
#include "core/device/device.h"
#include "gtest/gtest.h"
#include "parallel/batch_layout.h"
#include "parallel/step_report.h"
#include "parallel/train_step.h"
#include "routing/locality.h"
#include "tests/parallel/tiny_model.h"
#include "tests/routing/router_fixture.h"

namespace equipoise::parallel {
namespace {

using routing::LocalityBiasMode;

constexpr int kSteps = 6;
constexpr int kDomains = 3;

struct Case {
  std::string name;
  std::string kind;
  routing::LocalityOptions locality;
  routing::CapacityOptions capacity = {};
};

struct Layout {
  int ranks = 1;
  int expert_parallel = 1;
  int accumulation = 1;
  bool recompute = false;
  std::vector<int> nodes = {};  // of each rank; empty: one machine
};

struct Trace {
  std::vector<double> losses;
  std::vector<double> counts;
  std::vector<double> figures;
  std::vector<double> state;
  std::string warning;
};

TrainOptions OptionsFor(const Case& of, const Layout& layout) {
  TrainOptions options = testing_support::TinyOptions(DType::kF64, 13);
  options.layout.expert_parallel = layout.expert_parallel;
  options.layout.recompute = layout.recompute;
  options.batch.accumulation_steps = layout.accumulation;
  options.batch.load_source = LoadSource::kPreviousStep;
  options.consistency = {2, 4, 1.5};
  routing::RouterOptions& router = options.model.moe.router;
  router.kind = of.kind;
  router.settings = routing::DefaultSettings(of.kind);
  router.locality = of.locality;
  router.capacity = of.capacity;
  router.measure_angles = true;
  if (of.kind == "hash") router.balance_loss.coefficient = router.z_loss.coefficient = 0.0;
  return options;
}

void Append(const std::vector<double>& from, std::vector<double>& to) {
  to.insert(to.end(), from.begin(), from.end());
}

absl::StatusOr<Trace> Train(const Case& of, const Layout& layout) {
  Trace first;
  comm::ThreadWorld::Options threads;
  threads.num_ranks = layout.ranks;
  threads.node_of_rank = layout.nodes;
  EQ_RETURN_IF_ERROR(comm::RunRanks(threads, [&](comm::Communicator& world) -> absl::Status {
    const TrainOptions options = OptionsFor(of, layout);
    const SampleSource source = testing_support::SyntheticText(options.model.vocabulary, kDomains);
    const std::unique_ptr<Device> device = MakeCpuDevice();
    EQ_ASSIGN_OR_RETURN(auto step, TrainStep::Create(*device, world, options, kDomains));
    Trace trace;
    trace.warning = step->stray_warning();
    for (int i = 1; i <= kSteps; ++i) {
      EQ_ASSIGN_OR_RETURN(const StepResult result, step->Run(source, i));
      trace.losses.push_back(result.loss);
      for (const MoeLayerResult& layer : result.layers) {
        Append(layer.routes.home_copies, trace.counts);
        Append(layer.routes.experts, trace.counts);
        Append(layer.routes.nodes, trace.counts);
        for (const auto& [name, value] : layer.figures) trace.figures.push_back(value);
      }
    }
    EQ_ASSIGN_OR_RETURN(const EvaluationResult evaluation, step->Evaluate(source, 5));
    trace.losses.push_back(evaluation.cross_entropy);
    for (const routing::Router* router : step->model().routers()) {
      trace.state.insert(trace.state.end(), router->state().begin(), router->state().end());
    }
    if (world.rank() == 0) first = std::move(trace);
    return absl::OkStatus();
  }));
  return first;
}

routing::LocalityOptions Preferring(int nodes) {
  routing::LocalityOptions locality;
  locality.num_nodes = nodes;
  locality.loss.coefficient = 0.1;
  locality.bias = {LocalityBiasMode::kController, 0.0, 0.8, 0.2, 2.0};
  return locality;
}

std::vector<Case> Cases() {
  std::vector<Case> cases = {{"top_k_2", "top_k", Preferring(2)},
                             {"top_k_3", "top_k", Preferring(3)},
                             {"lpr_2", "lpr", Preferring(2)},
                             {"quota", "top_k", Preferring(2)},
                             {"learned", "top_k", Preferring(2)},
                             {"hash", "hash", {}},
                             {"grap_floor", "grap", {}, {0.5, 3.0}},
                             {"token_resonance_floor", "token_resonance", {}, {0.0, 3.0}}};
  cases[3].locality.quota.outgoing_share = 0.3;
  cases[4].locality.bias = {LocalityBiasMode::kLearned, 0.0, 0.8, 0.05, 2.0, 0.01};
  cases[5].locality.num_nodes = 2;
  return cases;
}

class LocalityLayoutsTest : public ::testing::TestWithParam<Case> {};

TEST_P(LocalityLayoutsTest, LayoutDoesNotMatter) {
  const auto reference = Train(GetParam(), {});
  ASSERT_TRUE(reference.ok()) << reference.status();
  EXPECT_EQ(reference->warning, "");
  EXPECT_EQ(reference->figures.empty(), GetParam().kind == "hash");
  const std::vector<Layout> layouts = {{1, 1, 3, false, {}},        {1, 1, 1, true, {}},
                                       {2, 2, 1, false, {0, 1}},    {3, 1, 2, true, {}},
                                       {3, 3, 1, false, {0, 0, 1}}, {4, 4, 1, false, {0, 0, 1, 1}},
                                       {4, 2, 2, false, {}}};
  for (const Layout& layout : layouts) {
    SCOPED_TRACE(::testing::Message()
                 << layout.ranks << " ranks, " << layout.expert_parallel << " expert-parallel, "
                 << layout.accumulation << " micro-batches");
    const auto run = Train(GetParam(), layout);
    ASSERT_TRUE(run.ok()) << run.status();
    EXPECT_EQ(run->counts, reference->counts);
    EXPECT_EQ(run->state, reference->state);
    ASSERT_EQ(run->figures.size(), reference->figures.size());
    for (size_t i = 0; i < run->figures.size(); ++i) {
      EXPECT_NEAR(run->figures[i], reference->figures[i], 1e-9) << i;
    }
    ASSERT_EQ(run->losses.size(), reference->losses.size());
    for (size_t i = 0; i < run->losses.size(); ++i) {
      EXPECT_NEAR(run->losses[i], reference->losses[i], 1e-12 * reference->losses[i]) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, LocalityLayoutsTest, ::testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

double Figure(const LayerRecord& layer, const std::string& name) {
  for (const auto& [key, value] : layer.figures) {
    if (key == name) return value;
  }
  ADD_FAILURE() << name;
  return 0.0;
}

// Tokens go home more often as b is learned, and the load, which stands beside it, stays even.
TEST(LearnedBiasTest, RaisesTheShareInAShortRun) {
  Case of = {"", "top_k", {}};
  of.locality.num_nodes = 2;
  of.locality.bias = {LocalityBiasMode::kLearned, 0.0, 0.8, 0.02, 2.0};
  StepRecord first;
  StepRecord last;
  const auto status = comm::RunRanks(2, [&](comm::Communicator& world) -> absl::Status {
    const TrainOptions options = OptionsFor(of, {});
    const SampleSource source = testing_support::SyntheticText(options.model.vocabulary, kDomains);
    const std::unique_ptr<Device> device = MakeCpuDevice();
    EQ_ASSIGN_OR_RETURN(auto step, TrainStep::Create(*device, world, options, kDomains));
    for (int i = 1; i <= 60; ++i) {
      EQ_ASSIGN_OR_RETURN(const StepResult result, step->Run(source, i));
      if (world.rank() != 0) continue;
      last = ReportStep(result, 8, step->placement(), step->locality());
      if (i == 1) first = last;
    }
    return absl::OkStatus();
  });
  ASSERT_TRUE(status.ok()) << status;
  for (size_t i = 0; i < last.layers.size(); ++i) {
    EXPECT_LT(Figure(first.layers[i], "home_share"), 0.6);
    EXPECT_NEAR(Figure(last.layers[i], "home_share"), 0.8, 0.08);
    EXPECT_EQ(Figure(first.layers[i], "home_bias"), 0.0);
    EXPECT_GT(Figure(last.layers[i], "home_bias"), 0.0);
    EXPECT_LT(last.layers[i].gini, first.layers[i].gini);
    EXPECT_GT(last.layers[i].gini, 0.0);
  }
}

TEST(LogicalNodesTest, SequencesLieWhereEqualNodesHaveThem) {
  for (const int64_t sequences : {4, 7, 12, 13}) {
    for (const int nodes : {1, 2, 3}) {
      for (const int local : {1, 2}) {
        const int ranks = nodes * local;
        if (ranks > sequences) continue;
        BatchOptions batch;
        batch.sequences = sequences;
        const BatchLayout layout(batch, ranks);
        for (int rank = 0; rank < ranks; ++rank) {
          const SequenceRange range = layout.OfRank(rank);
          for (int64_t i = range.begin; i < range.end; ++i) {
            EXPECT_EQ(routing::NodeOfSequence(i, sequences, nodes), rank / local);
          }
        }
      }
    }
  }
}

TEST(LogicalNodesTest, AreTheMachinesUnlessGiven) {
  Case of = {"", "top_k", Preferring(0)};
  const auto two = Train(of, {4, 4, 1, false, {0, 0, 1, 1}});
  ASSERT_TRUE(two.ok()) << two.status();
  EXPECT_EQ(two->warning, "");
  EXPECT_EQ(two->state.size(), 4u);  // two layers of two nodes
  of.locality.num_nodes = 2;
  const auto given = Train(of, {});
  ASSERT_TRUE(given.ok()) << given.status();
  EXPECT_EQ(given->counts, two->counts);
  // Nothing prefers, nothing is counted.
  of.locality = {};
  of.locality.num_nodes = 0;
  const auto none = Train(of, {2, 2, 1, false, {0, 1}});
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_TRUE(none->state.empty());
}

TEST(LogicalNodesTest, MachinesThatAreNoEqualRunsAreRefused) {
  const Case of = {"", "top_k", Preferring(0)};
  const std::vector<std::vector<int>> machines = {{0, 0, 0, 1}, {0, 1, 0, 1}};
  for (const std::vector<int>& nodes : machines) {
    const auto run = Train(of, {4, 4, 1, false, nodes});
    EXPECT_EQ(run.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(run.status().message().find("moe.locality.nodes"), std::string::npos);
  }
  const auto too_many = Train({"", "top_k", Preferring(14)}, {});
  EXPECT_EQ(too_many.status().code(), absl::StatusCode::kInvalidArgument);
}

// Text by node needs the machines as a preference does, and asks for them alone.
TEST(LogicalNodesTest, TextByNodeIsByMachineToo) {
  TrainOptions options = OptionsFor({"", "top_k", {}}, {});
  options.model.moe.router.locality.num_nodes = 0;
  options.data_by_node = true;
  const auto nodes_of = [&](const std::vector<int>& machines) {
    return ResolveNodes(comm::Topology::FromNodes(machines).value(), options);
  };
  EXPECT_EQ(nodes_of({0, 0, 1, 1}).value(), 2);
  EXPECT_EQ(nodes_of({0, 0, 0}).value(), 1);
  EXPECT_EQ(nodes_of({0, 1, 0, 1}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(nodes_of({0, 0, 1}).status().code(), absl::StatusCode::kInvalidArgument);
  options.data_by_node = false;
  EXPECT_EQ(nodes_of({0, 1, 0, 1}).value(), 1);
}

TEST(LogicalNodesTest, WarnsOfWhatLiesElsewhere) {
  const auto warning = [](int nodes, const Layout& layout) {
    const auto run = Train({"", "top_k", Preferring(nodes)}, layout);
    EXPECT_TRUE(run.ok()) << run.status();
    return run.ok() ? run->warning : "";
  };
  const auto expect = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  // The second of three nodes straddles the machines with all its sequences and experts.
  expect(warning(3, {4, 4, 1, false, {0, 0, 1, 1}}),
         "4 of 13 sequences have experts of their node on another machine, 3 of 8 experts in all");
  expect(warning(2, {4, 4, 1, false, {0, 1, 0, 1}}), "13 of 13 sequences have experts");
  // Every machine holds all experts, or two whole nodes: nothing that stays at home crosses.
  EXPECT_EQ(warning(2, {4, 2, 1, false, {0, 0, 1, 1}}), "");
  EXPECT_EQ(warning(4, {4, 4, 1, false, {0, 0, 1, 1}}), "");
  // Nor has a machine that holds half of two copies of the experts what its tokens need.
  expect(warning(2, {4, 2, 1, false, {0, 1, 1, 0}}), "8 of 8 experts in all");
}

TEST(LogicalNodesTest, TellsWhatOneNodeLeavesIdle) {
  TrainOptions options = OptionsFor({"", "top_k", Preferring(0)}, {});
  options.data_by_node = true;
  EXPECT_EQ(DescribeIdlePreferences(options, 1, 0),
            "data.by_node, moe.locality.bias, moe.locality.loss have no effect: there is one node, "
            "as moe.locality.nodes is 0, which takes the machines that the run begins on, and that "
            "was one. Set moe.locality.nodes to 2 or more, in a --run_dir of its own");
  EXPECT_EQ(DescribeIdlePreferences(options, 2, 0), "");
  options.data_by_node = false;
  options.model.moe.router.locality = {};
  EXPECT_EQ(DescribeIdlePreferences(options, 1, 1), "");
  options.model.moe.router.locality.quota.outgoing_share = 0.5;
  EXPECT_EQ(DescribeIdlePreferences(options, 1, 1),
            "moe.locality.quota has no effect: there is one node, as moe.locality.nodes says. Set "
            "moe.locality.nodes to 2 or more, in a --run_dir of its own");
}

TEST(LogicalNodesTest, ExpertsAreSharedOutWithinNodes) {
  TrainOptions options = testing_support::TinyOptions(DType::kF64, 8);
  options.model.moe.router.num_experts = 10;
  options.model.moe.router.locality.num_nodes = 2;
  const auto placement = MakePlacement(options, 4);
  ASSERT_TRUE(placement.ok());
  std::vector<int> owners;
  for (int e = 0; e < 10; ++e) owners.push_back(placement->owner_of(e));
  EXPECT_EQ(owners, (std::vector<int>{0, 0, 0, 1, 1, 2, 2, 2, 3, 3}));
}

}  // namespace
}  // namespace equipoise::parallel
