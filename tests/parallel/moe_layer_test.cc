// The MoE layer on one to four ranks against its definition: every expert on every token, masked;
// and its gradients, of tokens and of all parameters, against central differences of that.

#include "parallel/moe_layer.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "comm/backends/thread/run_ranks.h"
#include "core/base/rng.h"
#include "core/base/status_macros.h"
#include "gtest/gtest.h"
#include "parallel/expert_exchange.h"
#include "parallel/router_statistics.h"
#include "tests/parallel/moe_reference.h"
#include "tests/support/compare.h"
#include "tests/support/gradient_check.h"
#include "tests/support/test_context.h"

namespace equipoise::parallel {
namespace {

using testing_support::AllClose;
using testing_support::MoeByDefinition;
using testing_support::MoeReferenceResult;
using testing_support::NamedArrays;
using testing_support::TestContext;
using testing_support::ToDoubles;

constexpr char kPrefix[] = "model.layers.1.";
constexpr int64_t kSequenceLength = 4;

struct LayerCase {
  std::string name;
  ModelOptions model;
  std::vector<int64_t> sequences;  // of each rank
  std::vector<int> owners;         // of each expert; empty: contiguous
  std::string exchange = "flat";
  int chunks = 1;
  int ranks() const { return static_cast<int>(sequences.size()); }
  int64_t first_token(int rank) const {
    int64_t first = 0;
    for (int r = 0; r < rank; ++r) first += sequences[static_cast<size_t>(r)] * kSequenceLength;
    return first;
  }
  int64_t tokens() const { return first_token(ranks()); }
};

int64_t RowBytes(const LayerCase& layer_case) {
  return layer_case.model.hidden * static_cast<int64_t>(SizeOf(layer_case.model.dtype));
}

ModelOptions SmallModel() {
  ModelOptions model;
  model.hidden = 6;
  model.init_stddev = 0.5;
  model.dtype = DType::kF64;
  model.moe.expert_width = 5;
  routing::RouterOptions& router = model.moe.router;
  router.num_experts = 5;
  router.top_k = 2;
  router.settings.Set("score", std::string("SOFTMAX"));
  router.settings.Set("selection", std::string("SCORE_ALL"));
  router.settings.Set("renormalise", true);
  router.settings.Set("scaling_factor", 1.0);
  router.balance_loss.coefficient = 0.3;
  router.z_loss.coefficient = 0.1;
  return model;
}

// A case for every number of ranks and every option; in the larger worlds a rank has no tokens.
std::vector<LayerCase> LayerCases() {
  std::vector<LayerCase> cases;
  const std::vector<std::vector<int64_t>> splits = {{6}, {5, 1}, {2, 0, 4}, {0, 1, 3, 2}};
  for (const std::vector<int64_t>& sequences : splits) {
    const auto add = [&](const std::string& name, const ModelOptions& model) {
      LayerCase& added = cases.emplace_back();
      added.name = absl::StrCat(name, "_", sequences.size());
      added.model = model;
      added.sequences = sequences;
    };
    add("Plain", SmallModel());
    ModelOptions model = SmallModel();
    model.moe.shared_expert_width = 3;
    add("SharedExpert", model);
    model = SmallModel();
    model.moe.router.capacity.factor = 1.0;
    add("Capacity", model);
    model = SmallModel();
    model.moe.router.top_k = 1;
    model.moe.router.settings.Set("score", std::string("SIGMOID"));
    model.moe.router.settings.Set("renormalise", false);
    model.moe.router.settings.Set("scaling_factor", 2.5);
    add("SigmoidTopOne", model);
    model = SmallModel();
    model.moe.router.top_k = 5;
    add("AllExperts", model);
    // More chunks than some ranks have tokens.
    for (const std::string exchange : {"flat", "two_level_dedup"}) {
      for (const int chunks : {2, 7}) {
        model = SmallModel();
        model.moe.shared_expert_width = chunks == 2 ? 0 : 3;
        add(absl::StrCat(exchange, "_in_", chunks, "_chunks"), model);
        cases.back().exchange = exchange;
        cases.back().chunks = chunks;
      }
    }
    // Everything on the last rank.
    add("OneOwner", SmallModel());
    cases.back().owners.assign(5, static_cast<int>(sequences.size()) - 1);
    cases.back().chunks = 2;
  }
  return cases;
}

// What one rank puts in and gets out.
struct RankResult {
  std::vector<double> output, dh;
  NamedArrays values, gradients;
  std::vector<double> sums;
  std::vector<routing::LossTerm> losses;
};

std::vector<double> Draw(const std::string& purpose, int64_t size) {
  const Philox random(StreamKey(11, purpose));
  std::vector<double> values;
  for (int64_t i = 0; i < size; ++i) values.push_back(random.Normal(static_cast<uint64_t>(i)));
  return values;
}

// This rank's rows of an array of all tokens.
TensorView RowsOf(const LayerCase& layer_case, int rank, const std::vector<double>& all,
                  TestContext& memory) {
  const int64_t hidden = layer_case.model.hidden;
  const int64_t begin = layer_case.first_token(rank), end = layer_case.first_token(rank + 1);
  return memory.Make(layer_case.model.dtype, {end - begin, hidden},
                     std::span(all).subspan(static_cast<size_t>(begin * hidden),
                                            static_cast<size_t>((end - begin) * hidden)));
}

void Export(const ParameterRegistry& parameters, RankResult& result) {
  for (const auto& parameter : parameters.parameters()) {
    const std::vector<double> values = ToDoubles(parameter->value());
    const std::vector<double> gradients = ToDoubles(parameter->gradient());
    std::ptrdiff_t begin = 0;
    for (const LogicalTensor& part : parameter->spec().parts) {
      const std::ptrdiff_t end = begin + part.shape.num_elements();
      result.values[part.name].assign(values.begin() + begin, values.begin() + end);
      result.gradients[part.name].assign(gradients.begin() + begin, gradients.begin() + end);
      begin = end;
    }
  }
}

absl::Status RunRank(const LayerCase& layer_case, const std::vector<double>& h,
                     const std::vector<double>& weights, comm::Communicator& world,
                     RankResult& result) {
  TestContext memory(size_t{1} << 26);
  auto placement =
      routing::ExpertPlacement::Contiguous(layer_case.model.moe.router.num_experts, world.size());
  if (!layer_case.owners.empty()) {
    EQ_ASSIGN_OR_RETURN(placement,
                        routing::ExpertPlacement::FromTable(layer_case.owners, world.size()));
  }
  EQ_ASSIGN_OR_RETURN(const auto exchange,
                      MakeExpertExchange(layer_case.exchange, world, memory.context(), placement,
                                         {.costs = {.links = {}, .row_bytes = RowBytes(layer_case)},
                                          .num_chunks = layer_case.chunks}));
  ParameterRegistry parameters;
  EQ_ASSIGN_OR_RETURN(const auto layer, MoeLayer::Create(layer_case.model, 1, 0, kPrefix, *exchange,
                                                         world.rank(), parameters));
  EQ_RETURN_IF_ERROR(parameters.Allocate(memory.device(), layer_case.model.dtype, {1, 1}));
  parameters.Initialize(memory.device(), 3);
  EQ_ASSIGN_OR_RETURN(const auto statistics,
                      RouterStatistics::Create(memory.device(), world, {&layer->router()},
                                               LoadSource::kCurrentStep));
  const StepContext step = {memory.context(), nullptr, statistics.get(), nullptr};
  const TensorView input = RowsOf(layer_case, world.rank(), h, memory);
  const TensorView output = memory.Zeros(layer_case.model.dtype, input.shape());
  const TensorView dh = RowsOf(layer_case, world.rank(), weights, memory);
  MicroBatch batch;
  batch.tokens = memory.Zeros(DType::kI32, {input.dim(0)});
  batch.sequence_length = kSequenceLength;
  batch.first_token = layer_case.first_token(world.rank());
  statistics->BeginStep(memory.context(), layer_case.tokens());
  statistics->BeginMicroBatch(layer_case.tokens());
  EQ_ASSIGN_OR_RETURN(const MoeLayer::Saved saved, layer->Forward(step, batch, input, output));
  EQ_RETURN_IF_ERROR(layer->Backward(step, batch, saved, *statistics, dh));
  EQ_RETURN_IF_ERROR(statistics->EndStep(memory.context()));

  result.output = ToDoubles(output);
  result.dh = ToDoubles(dh);
  result.sums = statistics->Sums(0);
  result.losses = layer->router().Losses(result.sums, statistics->tokens(), statistics->Load(0),
                                         statistics->load_tokens(0));
  Export(parameters, result);
  return absl::OkStatus();
}

// All ranks' results as one: rows in rank order, gradients summed over the ranks that have them.
RankResult RunLayer(const LayerCase& layer_case, const std::vector<double>& h,
                    const std::vector<double>& weights) {
  std::vector<RankResult> ranks(layer_case.sequences.size());
  const absl::Status status = comm::RunRanks(layer_case.ranks(), [&](comm::Communicator& world) {
    return RunRank(layer_case, h, weights, world, ranks[static_cast<size_t>(world.rank())]);
  });
  EXPECT_TRUE(status.ok()) << status;
  RankResult all = ranks[0];
  for (size_t r = 1; r < ranks.size(); ++r) {
    all.output.insert(all.output.end(), ranks[r].output.begin(), ranks[r].output.end());
    all.dh.insert(all.dh.end(), ranks[r].dh.begin(), ranks[r].dh.end());
    EXPECT_EQ(ranks[r].sums, all.sums);
    for (const auto& [name, values] : ranks[r].values) {
      const auto [at, inserted] = all.values.emplace(name, values);
      EXPECT_TRUE(inserted || at->second == values) << "ranks disagree about " << name;
    }
    for (const auto& [name, gradient] : ranks[r].gradients) {
      const auto [at, inserted] = all.gradients.emplace(name, gradient);
      if (inserted) continue;
      for (size_t i = 0; i < gradient.size(); ++i) at->second[i] += gradient[i];
    }
  }
  return all;
}

class MoeLayerTest : public ::testing::TestWithParam<LayerCase> {};

TEST_P(MoeLayerTest, IsEveryExpertOnEveryTokenMasked) {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    LayerCase layer_case = GetParam();
    layer_case.model.dtype = dtype;
    std::vector<double> h = Draw("h", layer_case.tokens() * layer_case.model.hidden);
    for (double& value : h) value = static_cast<float>(value);
    const RankResult actual = RunLayer(layer_case, h, h);
    const MoeReferenceResult expected =
        MoeByDefinition(layer_case.model, kSequenceLength, kPrefix, actual.values, h);
    // A row is a chain of four sums: norm (H), gate and up (H), down (F), experts (K); an error of
    // one grows by the values of the next, of which the output is the largest seen.
    const int64_t length = 2 * layer_case.model.hidden + layer_case.model.moe.expert_width +
                           layer_case.model.moe.router.top_k;
    const double largest = testing_support::MaxAbs(expected.output);
    const double tolerance = testing_support::DotTolerance(dtype, length, largest, 1.0);
    EXPECT_TRUE(AllClose(actual.output, expected.output, tolerance)) << Name(dtype);
    EXPECT_TRUE(std::equal(expected.counts.begin(), expected.counts.end(), actual.sums.begin()));
    EXPECT_EQ(actual.sums[expected.counts.size()], static_cast<double>(expected.dropped));
    const bool drops = layer_case.model.moe.router.capacity.factor > 0.0;
    EXPECT_EQ(expected.dropped > 0, drops);
    ASSERT_EQ(actual.losses.size(), 2u);
    for (const routing::LossTerm& term : actual.losses) {
      const double value = term.name == "balance" ? expected.balance : expected.z;
      const double allowed =
          testing_support::DotTolerance(dtype, length + layer_case.tokens(), std::abs(value), 1.0);
      EXPECT_NEAR(term.value, value, allowed) << term.name;
    }
  }
}

// <weights, output> plus the auxiliary losses, the layer's part of a training loss.
double LossByDefinition(const LayerCase& layer_case, const NamedArrays& values,
                        const std::vector<double>& h, const std::vector<double>& weights) {
  const MoeReferenceResult result =
      MoeByDefinition(layer_case.model, kSequenceLength, kPrefix, values, h);
  double loss = result.balance + result.z;
  for (size_t i = 0; i < weights.size(); ++i) loss += weights[i] * result.output[i];
  return loss;
}

TEST_P(MoeLayerTest, GradientsAreThoseOfTheDefinition) {
  const LayerCase& layer_case = GetParam();
  const std::vector<double> h = Draw("h", layer_case.tokens() * layer_case.model.hidden);
  const std::vector<double> weights =
      Draw("weights", layer_case.tokens() * layer_case.model.hidden);
  const RankResult actual = RunLayer(layer_case, h, weights);
  testing_support::GradientCheckOptions check;
  // Small steps: a larger one would change which experts a token takes.
  check.step = 1e-5;
  // Every seventh element: all columns of H = 6, and six tokens of seven.
  check.stride = 7;
  const auto of_tokens = [&](std::span<const double> point) {
    return LossByDefinition(layer_case, actual.values, {point.begin(), point.end()}, weights);
  };
  EXPECT_TRUE(testing_support::CheckGradient(of_tokens, actual.dh, h, check)) << "tokens";
  for (const auto& [name, gradient] : actual.gradients) {
    NamedArrays values = actual.values;
    const std::string& changed = name;
    const auto of_parameter = [&](std::span<const double> point) {
      values[changed].assign(point.begin(), point.end());
      return LossByDefinition(layer_case, values, h, weights);
    };
    check.stride = gradient.size() / 5 + 1;
    EXPECT_TRUE(
        testing_support::CheckGradient(of_parameter, gradient, actual.values.at(name), check))
        << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Layouts, MoeLayerTest, ::testing::ValuesIn(LayerCases()),
                         [](const auto& info) { return info.param.name; });

TEST(MoeLayer, ARankOfOneWorldDoesNotChangeTheOthersTokens) {
  LayerCase one;
  one.model = SmallModel();
  one.sequences = {6};
  LayerCase four = one;
  four.sequences = {0, 1, 3, 2};
  const std::vector<double> h = Draw("h", 24 * one.model.hidden);
  const RankResult expected = RunLayer(one, h, h);
  for (const int chunks : {1, 3}) {
    four.chunks = chunks;
    const RankResult actual = RunLayer(four, h, h);
    // A token's own path has the same sums in the same order on every layout.
    EXPECT_TRUE(testing_support::SameBits(actual.output, expected.output));
    EXPECT_TRUE(AllClose(actual.dh, expected.dh, 1e-13 * testing_support::MaxAbs(expected.dh)));
  }
}

}  // namespace
}  // namespace equipoise::parallel
