// Routers that are wrong together, settings without effect, and choices that undo each other.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/nn/parameter.h"
#include "routing/option_problem.h"
#include "routing/router.h"
#include "tests/launcher/config/config_text.h"
#include "tests/launcher/config/wrong_config.h"

namespace equipoise::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const WrongLine kNoEffect[] = {
    {"RateWithoutRule", 18, "  router { top_k { bias { rate: 0.1 } } }", "18:27",
     "moe.router.top_k.bias.rate has no effect: moe.router.top_k.bias.rule is NONE"},
    {"BinsOfProportional", 18, "  router { grap { bias { rule: PROPORTIONAL bins: 64 } } }",
     "18:45", "moe.router.grap.bias.bins has no effect: moe.router.grap.bias.rule is PROPORTIONAL"},
    {"OrderWithoutCoefficient", 18, "  router { sinkhorn { entropy_loss { order: 2 } } }", "18:38",
     "order has no effect: moe.router.sinkhorn.entropy_loss.coefficient is 0"},
    {"FormWithoutCoefficient", 18, "  router { sinkhorn { orthogonality_loss { form: GRAM } } }",
     "18:44", "form has no effect: moe.router.sinkhorn.orthogonality_loss.coefficient is 0"},
    {"BetaWithoutRepulsion", 18, "  router { lpr { mode: LEAN losses { repulsion_beta: 3 } } }",
     "18:38", "has no effect: moe.router.lpr.losses.prototype_repulsion is -1"},
    {"TemperatureOfNoLoss", 18,
     "  router { lpr { losses { soft_load_temperature: 3 soft_load: 0 } } }", "18:27",
     "has no effect: moe.router.lpr.losses.soft_load is 0"},
    {"ScopeOfNoLoss", 18, "  balance_loss { coefficient: 0 scope: SEQUENCE }", "18:33",
     "moe.balance_loss.scope has no effect: moe.balance_loss.coefficient is 0"},
    {"BlockOfDomains", 18,
     "  router { two_level_hash { position_block: 8 } } balance_loss { coefficient: 0 }", "18:29",
     "has no effect: moe.router.two_level_hash.group_key is DOMAIN"},
    {"SelectionOfSigmoid", 18, "  router { top_k { score: SIGMOID selection: SCORE_SELECTED } }",
     "18:35", "selection has no effect: moe.router.top_k.score is SIGMOID"},
    {"NotRenormalisedSelection", 18,
     "  router { top_k { selection: SCORE_SELECTED renormalise: false } }", "18:46",
     "renormalise has no effect: moe.router.top_k.score is SOFTMAX and "
     "moe.router.top_k.selection is SCORE_SELECTED"},
    {"ScoreOfNoGroups", 18, "  router { top_k { groups { score: MAX } } }", "18:29",
     "has no effect: moe.router.top_k.groups.num_groups is 1"},
    {"MoreThanAllCopies", 18, "  router { entropy_adaptive { min_copies: 3 } }", "18:31",
     "min_copies is 3, more than the 2 of moe.top_k"},
    {"DecayOfAController", 18, "  locality { nodes: 2 bias { mode: CONTROLLER decay: 0.1 } }",
     "18:47", "moe.locality.bias.decay has no effect: moe.locality.bias.mode is CONTROLLER"},
    {"TargetOfAFixedBias", 18,
     "  locality { nodes: 2 bias { mode: FIXED strength: 1 target: 0.5 } }", "18:54",
     "moe.locality.bias.target has no effect: moe.locality.bias.mode is FIXED"},
    {"FloorWithoutCapacity", 18, "  capacity_floor: 2", "18:3",
     "moe.capacity_floor has no effect on router top_k: it needs a capacity"},
    {"FloorWithoutAngles", 18,
     "  capacity_factor: 1 capacity_floor: 2 balance_loss { coefficient: 0 } router { hash {} }",
     "18:22", "moe.capacity_floor has no effect on router hash"},
    {"BiasOfSinkhorn", 18, "  router { sinkhorn {} } locality { bias { mode: FIXED strength: 1 } }",
     "18:44", "router sinkhorn spreads every sequence evenly over all experts"},
    {"LossOfExpertChoice", 18,
     "  router { expert_choice {} } balance_loss { coefficient: 0 } locality { loss { coefficient: "
     "1 } }",
     "18:81", "set moe.locality.loss.coefficient to 0, or take another router"},
    {"QuotaOfTokenResonance", 18,
     "  router { token_resonance {} } locality { quota { outgoing_share: 0.5 } }", "18:52",
     "router token_resonance chooses by whole sequences and cannot keep a quota"},
    {"SmoothingOfNoLoss", 18, "  locality { nodes: 2 loss { smoothing: 0.1 } }", "18:30",
     "moe.locality.loss.smoothing has no effect: moe.locality.loss.coefficient is 0"},
    {"NearOfNoLoss", 18, "  locality { nodes: 4 loss { near: 0.5 } }", "18:30",
     "moe.locality.loss.near has no effect: moe.locality.loss.coefficient is 0"},
    {"NearWithoutGroups", 18, "  locality { nodes: 4 loss { coefficient: 1 near: 0.5 } }", "18:45",
     "moe.locality.loss.near has no effect: moe.locality.nodes_per_group is 0"},
    {"GroupsWithoutLoss", 18, "  locality { nodes: 4 nodes_per_group: 2 }", "18:23",
     "moe.locality.nodes_per_group has no effect: moe.locality.loss.coefficient is 0"},
    {"GroupsLargerThanAll", 18,
     "  locality { nodes: 4 nodes_per_group: 8 loss { coefficient: 1 } }", "18:23",
     "moe.locality.nodes_per_group is 8, more than the 4 of moe.locality.nodes"},
    {"FixedAtNothing", 18, "  locality { nodes: 2 bias { mode: FIXED } }", "18:30",
     "moe.locality.bias.mode FIXED has no effect: moe.locality.bias.strength is 0"},
    {"ControllerWithoutRoom", 18, "  locality { nodes: 2 bias { mode: CONTROLLER limit: 0 } }",
     "18:47", "moe.locality.bias.mode CONTROLLER has no effect: moe.locality.bias.limit is 0"},
    {"NearAboveHome", 18,
     "  locality { nodes: 4 nodes_per_group: 2 loss { coefficient: 1 near: 2 } }", "18:64",
     "moe.locality.loss.near is 2, must be at most home, which is 1"},
    {"LimitBelowStrength", 18,
     "  locality { nodes: 2 bias { mode: CONTROLLER strength: 1 limit: 0.5 } }", "18:59",
     "moe.locality.bias.limit is 0.5, must be finite and at least the strength 1"},
    {"FloorOfConstant", 27, "  schedule { kind: CONSTANT final_ratio: 0.5 }", "27:29",
     "optimizer.schedule.final_ratio has no effect: optimizer.schedule.kind is CONSTANT"},
};

class NoEffectTest : public testing::TestWithParam<WrongLine> {};

TEST_P(NoEffectTest, IsReportedOnceAtItsPlace) { ExpectToldAtItsPlace(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Table, NoEffectTest, testing::ValuesIn(kNoEffect),
                         [](const auto& info) { return std::string(info.param.name); });

const WrongOverride kWrongChoices[] = {
    {"NoFieldOfThisRouter",
     {"moe.router.lpr={}", "moe.router.lpr.renormalise=true"},
     {},
     "--set #2 'moe.router.lpr.renormalise=true': no field 'renormalise' in moe.router.lpr; it "
     "has"},
    {"NoFieldOfAnyRouter",
     {"moe.router.hash={}", "moe.balance_loss.coefficient=0", "moe.jitter=0.1"},
     {},
     "--set #3 'moe.jitter=0.1': no field 'jitter' in moe; it has num_experts"},
    {"FieldOfTheChosenRouter", {"moe.jitter=0.1"}, {}, "did you mean moe.router.top_k.jitter?"},
    {"TwoRouters",
     {"moe.router.lpr={mode: GEOMETRIC}", "moe.router.top_k.jitter=0.1"},
     {},
     "--set #1 'moe.router.lpr={mode: GEOMETRIC}': moe.router.lpr, which this chooses, is replaced "
     "by moe.router.top_k later on: choose one"},
    {"DropsAFilesSettings",
     {"moe.router.lpr.mode=GEOMETRIC"},
     {},
     "this would drop moe.router.top_k with its settings, at "},
    {"TextOfOneNode",
     {"moe.locality.nodes=1", "data.by_node=true"},
     {},
     "data.by_node has no effect: moe.locality.nodes is 1"},
    {"FloorOfAnotherRouter",
     {"moe.capacity_floor=2", "moe.router.expert_choice={}", "moe.balance_loss.coefficient=0"},
     {},
     "--set #1 'moe.capacity_floor=2': moe.capacity_floor has no effect on router expert_choice"},
    {"ExpertsThatDoNotDivide",
     {"moe.router.grap={}", "moe.num_experts=10", "moe.capacity_factor=1", "moe.capacity_floor=2",
      "layout.expert_owner=[0,0,0,0,0,1,1,1,1,1]"},
     {},
     "--set #2 'moe.num_experts=10': router grap: its 10 experts read blocks of features"},
    {"LossOfAHash",
     {"moe.router.hash={}", "moe.z_loss.coefficient=0.1", "moe.balance_loss.coefficient=0",
      "moe.capacity_factor=2"},
     {},
     "--set #2 'moe.z_loss.coefficient=0.1': router hash has no scores, so no auxiliary loss"},
    {"BiasOfAHash",
     {"moe.locality.bias.mode=LEARNED", "moe.router.hash={}", "moe.balance_loss.coefficient=0"},
     {},
     "--set #1 'moe.locality.bias.mode=LEARNED': router hash has no scores, so no preference"},
    {"QuotaOfTooFewExperts",
     {"moe.locality.nodes=8", "moe.locality.quota.outgoing_share=0.5", "moe.capacity_factor=2"},
     {},
     "--set #2 'moe.locality.quota.outgoing_share=0.5': moe.locality.quota.outgoing_share keeps "
     "tokens on their node"},
    {"MoreCopiesThanExperts",
     {"moe.router.expert_choice={max_copies: 9}", "moe.balance_loss.coefficient=0",
      "moe.capacity_floor=0"},
     {},
     "--set #1 'moe.router.expert_choice={max_copies: 9}': moe.router.expert_choice.max_copies is "
     "9, not in [0, 8]"},
    {"SegmentOfNothing",
     {"telemetry.consistency_segment=8"},
     {},
     "telemetry.consistency_segment has no effect: telemetry.consistency_every_steps is 0"},
    {"RateWithoutRule",
     {"moe.router.top_k.bias.rate=0.1"},
     {},
     "'moe.router.top_k.bias.rate=0.1': moe.router.top_k.bias.rate has no effect"},
};

class WrongChoiceTest : public testing::TestWithParam<WrongOverride> {};

TEST_P(WrongChoiceTest, IsReportedOnceWithItsNumber) { ExpectToldWithItsNumber(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Table, WrongChoiceTest, testing::ValuesIn(kWrongChoices),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(WrongRouters, EveryProblemOfARouterHasItsPlace) {
  const std::string path = WriteConfig("router_problems.textproto", ValidText());
  const absl::StatusOr<LoadedConfig> loaded =
      Load(path, {"moe.router.top_k.bias.rule=QUANTILE", "moe.router.top_k.bias.bins=7",
                  "moe.router.top_k.bias.rate=3", "moe.router.top_k.groups.num_groups=3",
                  "moe.router.top_k.groups.top_groups=4", "moe.router.top_k.jitter=0.1"});
  EXPECT_THAT(Problems(loaded.status()),
              ElementsAre(HasSubstr("#2 'moe.router.top_k.bias.bins=7': moe.router.top_k.bias.bins "
                                    "is 7, must be even"),
                          HasSubstr("#3 'moe.router.top_k.bias.rate=3': moe.router.top_k.bias.rate "
                                    "is 3, must be in (0, 1]"),
                          HasSubstr("#4 'moe.router.top_k.groups.num_groups=3': "
                                    "moe.router.top_k.groups.num_groups is 3, which does not"),
                          HasSubstr("#5 'moe.router.top_k.groups.top_groups=4': "
                                    "moe.router.top_k.groups.top_groups is 4, not in [1, 3]")))
      << loaded.status().message();
}

// What a later text makes idle is no mistake, and rate 0 means a rate.
TEST(WrongRouters, ALossThatIsSwitchedOffKeepsItsSettings) {
  const std::string path = WriteConfig(
      "near_nodes.textproto",
      WithLine(18, "  locality { nodes: 4 nodes_per_group: 2 loss { coefficient: 1 near: 0.5 } }"));
  EXPECT_TRUE(Load(path).ok()) << Load(path).status();
  EXPECT_TRUE(Load(path, {"moe.locality.loss.coefficient=0"}).ok());
  EXPECT_TRUE(Load(path, {"moe.locality.nodes_per_group=0"}).ok());
  EXPECT_TRUE(Load(path, {"moe.locality.nodes_per_group=0", "moe.locality.loss.far=0.7"}).ok())
      << "far is bounded by home where there are no groups";
}

TEST(WrongRouters, RateZeroGoesByTheModeOfABias) {
  const std::string path = WriteConfig("bias_rate.textproto", ValidText());
  const auto rate = [&](const std::string& mode, const std::string& more) {
    const auto loaded = Load(path, {"moe.locality.bias.mode=" + mode, more});
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    if (!loaded.ok()) return 0.0;
    const double used = loaded->options.train.model.moe.router.locality.bias.rate;
    EXPECT_THAT(loaded->resolved_text, HasSubstr(absl::StrCat("rate: ", used, "\n")));
    return used;
  };
  EXPECT_EQ(rate("LEARNED", "moe.num_experts=8"), 0.1 / 8);
  EXPECT_EQ(rate("LEARNED", "moe.locality.bias.rate=0.5"), 0.5);
  EXPECT_EQ(rate("CONTROLLER", "moe.num_experts=8"), 0.05);
}

// What the schema forbids, a router made by hand refuses in a form that has its place.
TEST(WrongRouters, ARouterNamesTheSettingThatItRefuses) {
  const struct {
    const char* router;
    const char* setting;
    routing::Settings::Value value;
  } kRefused[] = {
      {"top_k", "score", std::string("SOFTPLUS")},
      {"top_k", "jitter", 1.0},
      {"top_k", "orthogonality_loss.coefficient", -1.0},
      {"entropy_adaptive", "entropy_order", 0.5},
      {"entropy_adaptive", "entropy_threshold", 2.0},
      {"entropy_adaptive", "top_p", 0.0},
      {"entropy_adaptive", "min_copies", int64_t{0}},
      {"expert_choice", "capacity_factor", 0.0},
      {"sinkhorn", "iterations", int64_t{0}},
      {"sinkhorn", "tolerance", -1.0},
      {"token_resonance", "capacity_safety", -1.0},
      {"two_level_hash", "position_block", int64_t{0}},
      {"lpr", "latent_dim", int64_t{1}},
      {"lpr", "similarity", std::string("DOT")},
  };
  const std::string path = WriteConfig("refused.textproto", ValidText());
  for (const auto& refused : kRefused) {
    const auto loaded = Load(path, {absl::StrCat("moe.router.", refused.router, "={}"),
                                    "moe.balance_loss.coefficient=0"});
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    routing::RouterOptions options = loaded->options.train.model.moe.router;
    options.hidden = 48;
    options.locality.num_nodes = 1;
    options.settings.Set(refused.setting, refused.value);
    ParameterRegistry parameters;
    const auto problems =
        routing::OptionProblemsOf(routing::MakeRouter(options, parameters).status());
    ASSERT_THAT(problems, testing::SizeIs(1)) << refused.router << " " << refused.setting;
    EXPECT_EQ(problems[0].subject, refused.setting);
  }
}

TEST(WrongRouters, ARouterOwnsTheNamesOfItsSettings) {
  const auto problems = [](const char* router) {
    return Problems(Load(WriteConfig("own_names.textproto", WithLine(18, router))).status());
  };
  EXPECT_THAT(problems("  router { quantile_balancing { bins: 7 } }"),
              ElementsAre(HasSubstr(":18:33: moe.router.quantile_balancing.bins is 7")));
  EXPECT_THAT(problems("  router { group_limited { num_groups: 3 } }"),
              ElementsAre(HasSubstr(":18:28: moe.router.group_limited.num_groups is 3")));
  EXPECT_THAT(problems("  router { expert_choice {} } capacity_factor: 2"),
              ElementsAre(HasSubstr(":18:12: router expert_choice is balanced"),
                          HasSubstr(":18:31: router expert_choice has a capacity_factor")));
  EXPECT_THAT(
      problems("  router { lpr { similarity: GAUSSIAN bias { rule: SIGN rate: 1 } "
               "groups { num_groups: 3 } losses { alignment: 1 } } }"),
      ElementsAre(HasSubstr("lpr.groups.num_groups is 3"), HasSubstr("prototypes are FIXED")));
}

}  // namespace
}  // namespace equipoise::launcher
