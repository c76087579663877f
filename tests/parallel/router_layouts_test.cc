// Every router trains to the same losses and state on every layout: what it decides, what it adds
// up over a step and how it moves its state depend on no rank and no cut.

#include <numeric>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "comm/backends/thread/run_ranks.h"
#include "core/base/status_macros.h"
#include "core/device/device.h"
#include "gtest/gtest.h"
#include "parallel/train_step.h"
#include "tests/parallel/tiny_model.h"
#include "tests/routing/router_fixture.h"

namespace equipoise::parallel {
namespace {

constexpr int kSteps = 6;
constexpr int kDomains = 3;
constexpr int kExperts = 8;

struct Layout {
  int ranks = 1;
  int expert_parallel = 1;
  int accumulation = 1;
};

struct Trace {
  std::vector<double> losses;
  std::vector<double> counts;  // and histograms: all layers', every step
};

TrainOptions OptionsFor(const std::string& kind, const Layout& layout) {
  TrainOptions options = testing_support::TinyOptions(DType::kF64, 12);
  options.layout.expert_parallel = layout.expert_parallel;
  options.batch.accumulation_steps = layout.accumulation;
  options.batch.load_source = LoadSource::kPreviousStep;
  routing::RouterOptions& router = options.model.moe.router;
  // LPR's published mode changes the experts' input, draws noise and has the most statistics.
  const bool published_lpr = kind == "lpr_reference";
  router.kind = published_lpr ? "lpr" : kind;
  router.settings =
      published_lpr ? routing::LprSettings("REFERENCE") : routing::DefaultSettings(kind);
  if (published_lpr) router.settings.Set("decode", std::string("ON"));
  if (kind == "lpr") {
    routing::SetBias("PROPORTIONAL", 0.05, router.settings);
    router.settings.Set("losses.soft_load", 0.02);
  }
  const bool hash = kind == "hash" || kind == "two_level_hash";
  if (hash || kind == "expert_choice") router.balance_loss.coefficient = 0.0;
  if (hash) router.z_loss.coefficient = 0.0;
  if (!hash) router.settings.Set("jitter", 0.05);
  if (kind == "switch") router.top_k = 1;
  if (kind == "switch" || kind == "quantile_balancing") router.capacity.factor = 1.2;
  if (kind == "aux_free_bias") router.settings.Set("rate", 0.02);
  if (kind == "two_level_hash") {
    router.settings.Set("num_groups", int64_t{4});
    router.settings.Set("group_key", std::string("DOMAIN"));
    router.settings.Set("expert_key", std::string("TOKEN_AND_PREVIOUS"));
  }
  return options;
}

// Every copy as sent has a gate in some bin, and every token a number of copies.
absl::Status CheckHistograms(const MoeLayerResult& layer, int64_t tokens) {
  const auto& copies = layer.routes.token_copies;
  double sent = -layer.sums[kExperts];  // dropped
  for (int e = 0; e < kExperts; ++e) sent += layer.sums[static_cast<size_t>(e)];
  double of_tokens = 0.0;
  for (size_t k = 0; k < copies.size(); ++k) of_tokens += static_cast<double>(k) * copies[k];
  const auto& bins = layer.routes.gate_bins;
  if (std::accumulate(bins.begin(), bins.end(), 0.0) == sent && of_tokens == sent &&
      std::accumulate(copies.begin(), copies.end(), 0.0) == static_cast<double>(tokens)) {
    return absl::OkStatus();
  }
  return absl::InternalError(absl::StrCat(sent, " copies of ", tokens, " tokens, but gates ",
                                          absl::StrJoin(bins, " "), " and copies ",
                                          absl::StrJoin(copies, " ")));
}

absl::StatusOr<Trace> Train(const std::string& kind, const Layout& layout) {
  Trace first;
  EQ_RETURN_IF_ERROR(comm::RunRanks(layout.ranks, [&](comm::Communicator& world) -> absl::Status {
    const TrainOptions options = OptionsFor(kind, layout);
    const SampleSource source = testing_support::SyntheticText(options.model.vocabulary, kDomains);
    const std::unique_ptr<Device> device = MakeCpuDevice();
    EQ_ASSIGN_OR_RETURN(auto step, TrainStep::Create(*device, world, options, kDomains));
    Trace trace;
    for (int i = 1; i <= kSteps; ++i) {
      EQ_ASSIGN_OR_RETURN(const StepResult result, step->Run(source, i));
      trace.losses.push_back(result.loss);
      for (const MoeLayerResult& layer : result.layers) {
        trace.counts.insert(trace.counts.end(), layer.sums.begin(),
                            layer.sums.begin() + kExperts + 1);
        for (const auto* histogram : {&layer.routes.gate_bins, &layer.routes.token_copies}) {
          trace.counts.insert(trace.counts.end(), histogram->begin(), histogram->end());
        }
        EQ_RETURN_IF_ERROR(CheckHistograms(layer, result.tokens));
      }
    }
    EQ_ASSIGN_OR_RETURN(const EvaluationResult evaluation, step->Evaluate(source, 5));
    trace.losses.push_back(evaluation.cross_entropy);
    if (world.rank() == 0) first = std::move(trace);
    return absl::OkStatus();
  }));
  return first;
}

class RouterLayoutsTest : public ::testing::TestWithParam<const char*> {};

TEST_P(RouterLayoutsTest, LayoutDoesNotMatter) {
  const auto reference = Train(GetParam(), {});
  ASSERT_TRUE(reference.ok()) << reference.status();
  for (const Layout& layout :
       {Layout{1, 1, 3}, Layout{2, 2, 1}, Layout{3, 1, 2}, Layout{4, 2, 1}}) {
    SCOPED_TRACE(::testing::Message()
                 << layout.ranks << " ranks, " << layout.expert_parallel << " expert-parallel, "
                 << layout.accumulation << " micro-batches");
    const auto run = Train(GetParam(), layout);
    ASSERT_TRUE(run.ok()) << run.status();
    EXPECT_EQ(run->counts, reference->counts);
    ASSERT_EQ(run->losses.size(), reference->losses.size());
    for (size_t i = 0; i < run->losses.size(); ++i) {
      EXPECT_NEAR(run->losses[i], reference->losses[i], 1e-12 * reference->losses[i]) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, RouterLayoutsTest,
                         ::testing::Values("switch", "group_limited", "aux_free_bias",
                                           "quantile_balancing", "expert_choice", "sinkhorn",
                                           "entropy_adaptive", "token_resonance", "two_level_hash",
                                           "grap", "hash", "lpr", "lpr_reference"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace equipoise::parallel
