#include <cstdint>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "routing/router.h"
#include "tests/routing/router_fixture.h"

namespace equipoise::routing {
namespace {

std::string ErrorOf(const RouterOptions& options) {
  ParameterRegistry parameters;
  const auto router = MakeRouter(options, parameters);
  EXPECT_FALSE(router.ok());
  EXPECT_EQ(router.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(router.status().message());
}

TEST(RegistryTest, MakesEveryKind) {
  const auto kinds = RouterKinds();
  EXPECT_EQ(kinds.front(), "top_k");
  EXPECT_EQ(std::set<std::string>(kinds.begin(), kinds.end()).size(), kinds.size());
  for (const std::string& kind : kinds) {
    const RouterOptions options = OptionsOf(kind, 8, 8, kind == "switch" ? 1 : 2);
    ParameterRegistry parameters;
    const auto router = MakeRouter(options, parameters);
    ASSERT_TRUE(router.ok()) << router.status().ToString();
    EXPECT_EQ((*router)->kind(), kind);
    EXPECT_GE((*router)->num_statistics(), 10);
  }
}

// What checkpoints find sums and state by.
TEST(RegistryTest, EveryKindNamesAllItsSumsAndState) {
  for (const std::string& kind : RouterKinds()) {
    RouterOptions options = OptionsOf(kind, 8, 8, kind == "switch" ? 1 : 2);
    if (options.settings.Has("bias.rule")) SetBias("QUANTILE", 0.5, options.settings);
    ParameterRegistry parameters;
    const auto router = MakeRouter(options, parameters);
    ASSERT_TRUE(router.ok()) << router.status().ToString();
    const auto size_of = [&](const std::vector<Segment>& segments) {
      std::set<std::string> names;
      int64_t size = 0;
      for (const Segment& segment : segments) {
        EXPECT_TRUE(names.insert(segment.name).second) << kind << " has two of " << segment.name;
        size += segment.size;
      }
      return size;
    };
    EXPECT_EQ(size_of((*router)->sum_segments()), (*router)->num_statistics()) << kind;
    EXPECT_EQ(size_of((*router)->state_segments()), std::ssize((*router)->state())) << kind;
  }
}

TEST(RegistryTest, SuggestsTheNearestName) {
  RouterOptions options = TopKOptions(4, 8, 2);
  options.kind = "topk";
  const std::string known = absl::StrJoin(RouterKinds(), ", ");
  EXPECT_EQ(ErrorOf(options),
            absl::StrCat("no router named 'topk': known are ", known, "; did you mean 'top_k'?"));
  options.kind = "oracle";
  EXPECT_EQ(ErrorOf(options), absl::StrCat("no router named 'oracle': known are ", known));
}

TEST(RegistryTest, ChecksOptions) {
  RouterOptions options = TopKOptions(4, 8, 9);
  EXPECT_EQ(ErrorOf(options), "top_k is 9, not in [1, 8], the number of experts");
  options = TopKOptions(4, 8, 2);
  options.balance_loss.coefficient = -0.1;
  EXPECT_EQ(ErrorOf(options), "balance_loss.coefficient is -0.1, must be finite and not negative");
  options = TopKOptions(4, 8, 2);
  options.capacity.factor = 1.0 / 0.0;
  EXPECT_EQ(ErrorOf(options), "capacity.factor is inf, must be finite and not negative");
  EXPECT_NE(ErrorOf(TopKOptions(0, 8, 2)), "");
}

TEST(RegistryTest, DeclaresTheGateAsHuggingFaceNamesIt) {
  RouterOptions options = TopKOptions(4, 8, 2);
  options.init_stddev = 0.01;
  ParameterRegistry parameters;
  ASSERT_TRUE(MakeRouter(options, parameters).ok());
  ASSERT_EQ(parameters.parameters().size(), 1u);
  const ParameterSpec& spec = parameters.parameters()[0]->spec();
  EXPECT_EQ(spec.parts[0].name, "model.layers.0.mlp.gate.weight");
  EXPECT_EQ(spec.shape, (Shape{8, 4}));
  EXPECT_EQ(spec.group, ParameterGroup::kReplicated);
  EXPECT_TRUE(spec.decay);
  EXPECT_EQ(spec.init_stddev, 0.01);
}

TEST(RegistryTest, TellsWhichStatisticsBackwardNeeds) {
  RouterOptions options = TopKOptions(4, 8, 2);
  EXPECT_EQ(RouterFixture(options, DType::kF32).router().statistics_scope(),
            LossScope::kMicroBatch);
  for (const LossScope scope : {LossScope::kGlobalBatch, LossScope::kRunning}) {
    options.balance_loss = {0.01, scope};
    EXPECT_EQ(RouterFixture(options, DType::kF32).router().statistics_scope(), scope);
  }
  options.balance_loss = {0.01, LossScope::kSequence};
  EXPECT_EQ(RouterFixture(options, DType::kF32).router().statistics_scope(),
            LossScope::kMicroBatch);
}

}  // namespace
}  // namespace equipoise::routing
