// Wrong configurations, each with what has to be said about it and where.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "tests/launcher/config/config_text.h"
#include "tests/launcher/config/wrong_config.h"

namespace equipoise::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const WrongLine kWrongLines[] = {
    // Names.
    {"UnknownFieldNearMiss", 4, "stpes: 100", "4:1",
     "no field 'stpes' in a configuration; did you mean steps?"},
    {"UnknownFieldInBlock", 16, "  topk: 2", "16:3", "no field 'topk' in moe; did you mean top_k?"},
    {"UnknownFieldOfAnotherBlock", 3, "num_experts: 8", "3:1", "did you mean moe.num_experts?"},
    {"UnknownFieldWithoutLikeness", 30, "checkpoint { xyzzy: 1 }", "30:14",
     "no field 'xyzzy' in checkpoint; it has every_steps, save_at_end, keep, resume"},
    {"UnknownBlock", 32, "wiat { warn_seconds: 5 }", "32:1", "did you mean wait?"},
    {"UnknownRouter", 18, "  router { topk {} }", "18:12", "did you mean top_k?"},
    {"UnknownFieldInRouter", 18, "  router { top_k { scores: SIGMOID } }", "18:20",
     "no field 'scores' in moe.router.top_k; did you mean score?"},
    {"SeedInABlock", 7, "  hidden: 48 seed: 3", "7:14",
     "no field 'seed' in model; it belongs to the top level: seed"},
    {"WrongCase", 3, "Seed: 7", "3:1", "did you mean seed?"},
    // Duplicates.
    {"DuplicateNumber", 16, "  top_k: 2 top_k: 4", "16:12", "moe.top_k is given twice: first at"},
    {"DuplicateBlock", 32, "model { qk_norm: true }", "32:1", "model is given twice: first at"},
    {"TwoRouters", 18, "  router { top_k {} hash {} }", "18:21",
     "moe.router.hash excludes moe.router.top_k"},
    // Types.
    {"TextForInteger", 4, "steps: \"100\"", "4:8", "steps: expected an integer, found the text"},
    {"FractionForInteger", 4, "steps: 10.5", "4:8", "expected an integer, found 10.5"},
    {"NameForInteger", 4, "steps: many", "4:8", "expected an integer, found many"},
    {"BlockForInteger", 4, "steps { count: 3 }", "4:7", "expected an integer, found a block"},
    {"ListForInteger", 4, "steps: [1, 2]", "4:8", "expected an integer, found a list"},
    {"IntegerForBlock", 32, "wait: 3", "32:7", "wait: expected a block: wait { ... }"},
    {"TextForNumber", 12, "  rope_theta: \"1e4\"", "12:15", "expected a number"},
    {"NumberForText", 2, "name: 12", "2:7", "expected text in quotes, found 12; did you mean"},
    {"NameForText", 2, "name: test", "2:7", "did you mean \"test\"?"},
    {"NumberForBool", 30, "checkpoint { every_steps: 50 save_at_end: 1 }", "30:43",
     "expected true or false, found 1; did you mean true?"},
    {"CapitalBool", 30, "checkpoint { every_steps: 50 save_at_end: False }", "30:43",
     "did you mean false?"},
    {"UnknownEnumValue", 18, "  router { top_k { score: SIGMOYD } }", "18:27",
     "expected one of SOFTMAX, SIGMOID, found SIGMOYD; did you mean SIGMOID?"},
    {"LowerCaseEnumValue", 18, "  router { top_k { score: sigmoid } }", "18:27",
     "did you mean SIGMOID?"},
    {"TextForEnum", 18, "  router { top_k { score: \"SIGMOID\" } }", "18:27",
     "did you mean SIGMOID?"},
    {"NumberForEnum", 18, "  router { top_k { score: 1 } }", "18:27", "expected one of SOFTMAX"},
    {"WrongTypeInList", 29, "layout { expert_owner: [0, 0, x, 1, 0, 0, 1, 1] }", "29:31",
     "layout.expert_owner[2]: expected an integer"},
    // Numbers.
    {"Nan", 12, "  rope_theta: nan", "12:15", "rope_theta is nan, but must be a finite number"},
    {"Infinity", 12, "  rope_theta: inf", "12:15", "must be a finite number"},
    {"NegativeInfinity", 12, "  rope_theta: -inf", "12:15", "must be a finite number"},
    {"OverflowingNumber", 12, "  rope_theta: 1e999", "12:15", "must be a finite number"},
    {"OverflowingInteger", 3, "seed: 99999999999999999999", "3:7", "does not fit"},
    {"OverflowingInt32", 8, "  num_layers: 3000000000", "8:15", "does not fit"},
    {"Octal", 4, "steps: 0100", "4:8", "would be read as octal"},
    {"Negative", 4, "steps: -100", "4:8", "steps is -100, but must be at least 1"},
    {"NegativeSeed", 3, "seed: -1", "3:7", "must be at least 0"},
    {"ZeroHidden", 7, "  hidden: 0", "7:11", "model.hidden is 0, but must be at least 1"},
    {"BelowExclusiveBound", 27, "  schedule { kind: WSD peak: 0 decay_steps: 20 }", "27:30",
     "peak is 0, but must be more than 0"},
    {"AtExclusiveBound", 26, "  adamw { beta1: 1.0 }", "26:18",
     "must be at least 0 and less than 1"},
    {"NegativeWeight", 22, "  domain { name: \"b\" train: \"b\" weight: -1 }", "22:41",
     "must be more than 0"},
    {"TooLarge", 8, "  num_layers: 5000", "8:15", "at most 4096"},
    {"NegativeOwner", 29, "layout { expert_owner: [0, 0, -1, 1, 0, 0, 1, 1] }", "29:31",
     "must be at least 0"},
    // Required fields.
    {"MissingSteps", 4, "", "1:1", "steps must be set"},
    {"MissingHidden", 7, "", "5:1", "model.hidden must be set: Width H"},
    {"MissingSequences", 24, "batch { sequence_length: 32 }", "24:1",
     "batch.sequences must be set"},
    {"MissingExperts", 15, "", "14:1", "moe.num_experts must be set"},
    {"MissingTopK", 16, "", "14:1", "moe.top_k must be set"},
    {"ZeroTopK", 16, "  top_k: 0", "16:3", "moe.top_k must be set"},
    {"MissingExpertWidth", 17, "", "14:1", "moe.expert_width must be set"},
    {"MissingDomainName", 22, "  domain { train: \"b\" }", "22:3",
     "data.domain[1].name must be set"},
    // Combinations: the model.
    {"HeadsNotDivisible", 10, "  num_kv_heads: 4", "10:3",
     "model.num_kv_heads is 4, which does not divide the 6 of model.num_heads; did you mean 3?"},
    {"MoreKvHeadsThanHeads", 10, "  num_kv_heads: 12", "10:3", "did you mean 6?"},
    {"OddHeadDim", 11, "  head_dim: 7", "11:3", "RoPE needs an even one; did you mean 8?"},
    {"TooManyDenseLayers", 8, "  num_layers: 4 num_dense_layers: 5 dense_width: 8", "8:17",
     "more than the 4 of model.num_layers"},
    {"DenseLayersWithoutWidth", 8, "  num_layers: 4 num_dense_layers: 1", "8:17",
     "model.dense_width must be set"},
    {"DenseWidthWithoutLayers", 8, "  num_layers: 4 dense_width: 64", "8:17", "has no effect"},
    // Combinations: experts.
    {"TopKAboveExperts", 16, "  top_k: 9", "16:3", "moe.top_k is 9, more than the 8"},
    {"LossOfRouterWithoutScores", 18, "  router { hash {} }", "18:12", "router hash has no scores"},
    {"FewerBlocksThanGroups", 18,
     "  balance_loss { coefficient: 0 } router { two_level_hash { num_groups: 2 group_key: "
     "POSITION } }",
     "18:61",
     "position_block is 64: a sequence of 32 tokens has fewer such blocks than the 2 groups"},
    {"OwnersTooFew", 29, "layout { expert_parallel: 2 expert_owner: [0, 1] }", "29:29",
     "names 2 owners, but moe.num_experts is 8"},
    {"OwnerOutsideGroup", 29, "layout { expert_parallel: 2 expert_owner: [0,0,1,1,0,2,1,1] }",
     "29:54", "gives expert 5 to rank 2, but its group has ranks 0 to 1"},
    {"UnknownExchange", 29, "layout { exchange: \"flatt\" }", "29:10", "did you mean flat?"},
    // Combinations: the batch.
    {"AccumulationAboveSequences", 24,
     "batch { sequences: 3 sequence_length: 32 accumulation_steps: 4 }", "24:42",
     "batch.accumulation_steps is 4, more than the 3"},
    {"CurrentLoadUnderAccumulation", 24,
     "batch { sequences: 16 sequence_length: 32 accumulation_steps: 2 load_source: CURRENT_STEP }",
     "24:65", "did you mean PREVIOUS_STEP?"},
    // Combinations: the schedule.
    {"WarmupAboveSteps", 27, "  schedule { kind: COSINE warmup_steps: 101 }", "27:27",
     "warmup_steps is 101, more than the 100 steps of the run; set it lower, or set steps to more"},
    {"WarmupAndDecayAboveSteps", 27, "  schedule { kind: WSD warmup_steps: 90 decay_steps: 11 }",
     "27:41",
     "optimizer.schedule.warmup_steps and optimizer.schedule.decay_steps take 90 + 11 steps, more "
     "than the 100 steps of the run; set one of them lower, or set steps to at least 101"},
    {"WsdWithoutDecay", 27, "  schedule { kind: WSD }", "27:14", "decay_steps must be set"},
    {"DecayOfCosine", 27, "  schedule { decay_steps: 5 }", "27:14", "did you mean kind: WSD?"},
    // Combinations: data and validation.
    {"DomainTwice", 22, "  domain { name: \"a\" train: \"b\" }", "22:12",
     "domain \"a\" is given twice"},
    {"DomainWithoutFiles", 22, "  domain { name: \"b\" }", "22:3", "no files to train on"},
    {"EmptyPath", 22, "  domain { name: \"b\" train: [\"x\", \"\"] }", "22:35",
     "a path must not be empty"},
    {"EmptyDomainName", 22, "  domain { name: \"\" train: \"b\" }", "22:12", "must not be empty"},
    {"SeparatorOutsideVocabulary", 6, "  vocabulary: 256", "6:3", "data.separator is token 256"},
    {"ValidationWithoutFiles", 21, "  domain { name: \"a\" train: \"a\" }", "31:30",
     "no data.domain has validation files"},
    {"ValidationWithoutSequences", 31, "validation { every_steps: 10 }", "31:14", "has no effect"},
    // Combinations: the run.
    {"NameWithSlash", 2, "name: \"a/b\"", "2:1", "cannot name a directory"},
    {"UnknownResume", 30, "checkpoint { resume: \"atuo\" }", "30:14",
     "is not auto, never or must; did you mean auto? A checkpoint's folder"},
    {"UnknownResumeUnlikeAny", 30, "checkpoint { resume: \"foo\" }", "30:14",
     "is not auto, never or must. A checkpoint's folder needs a slash, as in \"./foo\""},
    {"StopBeforeWarn", 32, "wait { warn_seconds: 5 stop_seconds: 4 }", "32:24",
     "is less than wait.warn_seconds"},
    {"LostNodeTooSoon", 32, "wait { lost_node_seconds: 0.5 }", "32:8", "or at least 1"},
    // Syntax.
    {"EqualsSign", 4, "steps = 100", "4:7", "expected ':' after 'steps', found '='"},
    {"NoColon", 4, "steps 100", "4:1", "expected ':' and a value, or a block, after 'steps'"},
    {"NoValue", 3, "seed:", "3:1", "'seed' has no value"},
    {"UnclosedString", 2, "name: \"test", "2:12", "String literals cannot cross line boundaries"},
    {"UnitAfterNumber", 4, "steps: 10k", "4:10", "Need space between number and identifier"},
    {"CommaForgottenInList", 29, "layout { expert_parallel: 2 expert_owner: [0 1] }", "29:46",
     "expected ',' or ']'"},
    {"StrayBracket", 32, "}", "32:1", "this closes nothing"},
    {"UnclosedBlock", 32, "wait { warn_seconds: 5", "32:6", "this '{' is never closed"},
    {"StrangeCharacter", 3, "seed: $7", "3:7", "expected a value, found '$'"},
};

class WrongLineTest : public testing::TestWithParam<WrongLine> {};

TEST_P(WrongLineTest, IsReportedOnceAtItsPlace) { ExpectToldAtItsPlace(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Table, WrongLineTest, testing::ValuesIn(kWrongLines),
                         [](const auto& info) { return std::string(info.param.name); });

const WrongOverride kWrongOverrides[] = {
    {"UnknownField", {"seed=1", "moe.topk=2"}, {}, "--set #2 'moe.topk=2': no field 'topk' in moe"},
    {"UnknownBlock", {"mode.top_k=2"}, {}, "--set #1 'mode.top_k=2': no field 'mode'"},
    {"NoEquals", {"moe.top_k"}, {}, "--set #1 'moe.top_k': expected PATH=VALUE"},
    {"EmptyPath", {"=2"}, {}, "--set #1 '=2': no field ''"},
    {"NoValue", {"moe.top_k="}, {}, "expected a value, found the end"},
    {"TwoValues", {"moe.top_k=1 2"}, {}, "unexpected '2' after the value"},
    {"WrongType", {"moe.top_k=two"}, {}, "moe.top_k: expected an integer, found two"},
    {"Nan", {"optimizer.adamw.beta1=nan"}, {}, "must be a finite number"},
    {"OutOfRange", {"optimizer.adamw.beta1=-0.5"}, {}, "beta1 is -0.5, but must be at least 0"},
    {"UnknownEnumValue", {"optimizer.schedule.kind=COSIN"}, {}, "did you mean COSINE?"},
    {"FieldOfNumber", {"moe.top_k.x=1"}, {}, "moe.top_k is an integer: it has no fields"},
    {"FieldOfList", {"data.domain.weight=2"}, {}, "data.domain is a list"},
    {"NameForBlock", {"moe.router=hash"}, {}, "moe.router: expected a block"},
    {"Include", {"include=x"}, {}, "it belongs into a file"},
    {"HiddenNotDivisible", {"model.head_dim=0", "model.hidden=50"}, {}, "model.hidden 50 is not"},
    {"Combination", {"moe.top_k=16"}, {}, "--set #1 'moe.top_k=16': moe.top_k is 16, more than"},
    {"UnclosedList", {"layout.expert_owner=[0,1"}, {}, "expected ',' or ']'"},
    {"WrongElement", {"layout.expert_owner=[0,1,0,1,0,1,0,2.5]"}, {}, "expert_owner[7]: expected"},
    {"MoreRanksThanSequences", {"batch.sequences=3"}, 4, "there are more ranks than sequences"},
    {"GroupDoesNotDivideRanks",
     {"layout.expert_parallel=3"},
     4,
     "layout.expert_parallel is 3, which does not divide the 4 ranks of this job"},
    {"GroupLargerThanWorld", {"layout.expert_parallel=4"}, 2, "did you mean 2?"},
    {"HalfALink",
     {"layout.links.remote.latency=1e-4"},
     {},
     "layout.links.remote.latency and layout.links.remote.seconds_per_byte must be set together"},
    {"LinksFileThatIsNotThere",
     {"layout.links.file=no/such/links"},
     {},
     "the links' file no/such/links: no such file"},
    {"FewerExpertsThanOwners",
     {"moe.num_experts=4"},
     {},
     "'moe.num_experts=4': layout.expert_owner names 8 owners, but moe.num_experts is 4"},
    {"DecayWithoutWsd",
     {"optimizer.schedule.kind=COSINE"},
     {},
     "'optimizer.schedule.kind=COSINE': optimizer.schedule.decay_steps has no effect"},
    {"ValidationOfNoDomain",
     {"data.domain=[{name: \"a\" train: \"a.bytes\"}]"},
     {},
     "validation.sequences is set, but no data.domain has validation files"},
    {"PartOfAList",
     {"data.domain[0].weight=2"},
     {},
     "data.domain is a list, and no part of a list can be set alone: set it whole, as in "
     "data.domain=[{...}, {...}]"},
    {"OwnerOutsideWorld",
     {"layout.expert_parallel=0", "layout.expert_owner=[0,1,2,3,0,1,2,4]"},
     4,
     "gives expert 7 to rank 4, but its group has ranks 0 to 3"},
};

class WrongOverrideTest : public testing::TestWithParam<WrongOverride> {};

TEST_P(WrongOverrideTest, IsReportedOnceWithItsNumber) { ExpectToldWithItsNumber(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Table, WrongOverrideTest, testing::ValuesIn(kWrongOverrides),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(WrongConfigurations, AllProblemsAreToldAtOnceInOrder) {
  const std::string path = WriteConfig("many.textproto", R"(stpes: 100
model {
  hidden: -1
  vocabulary: 257
  num_layers = 2
  num_heads: 6 num_kv_heads: 4
  qk_norm: maybe
}
moe { num_experts: 4 top_k: 5 expert_width: 8 expert_width: 9 }
batch { sequences: 16 sequence_length: nan }
data { domain { name: "a" train: "a" } }
)");
  const absl::StatusOr<LoadedConfig> loaded = Load(path, {"steps=0", "seed=x"});
  EXPECT_THAT(
      Problems(loaded.status()),
      ElementsAre(StartsWith("many.textproto:1:1: no field 'stpes'"),
                  StartsWith("many.textproto:3:11: model.hidden is -1"),
                  StartsWith("many.textproto:5:14: expected ':'"),
                  StartsWith("many.textproto:6:16: model.num_kv_heads is 4, which does not divide"),
                  StartsWith("many.textproto:7:12: model.qk_norm: expected true or false"),
                  StartsWith("many.textproto:9:22: moe.top_k is 5, more than the 4"),
                  StartsWith("many.textproto:9:47: moe.expert_width is given twice"),
                  StartsWith("many.textproto:10:40: batch.sequence_length: expected an integer"),
                  StartsWith("--set #1 'steps=0': steps is 0, but must be at least 1"),
                  StartsWith("--set #2 'seed=x': seed: expected an integer")))
      << loaded.status().message();
}

TEST(WrongConfigurations, TheLineIsQuotedWithACaret) {
  const std::string path = WriteConfig("caret.textproto", WithLine(16, "\ttop_k: x"));
  EXPECT_THAT(std::string(Load(path).status().message()),
              HasSubstr("caret.textproto:16:16: moe.top_k: expected an integer, found x\n"
                        "            top_k: x\n"
                        "                   ^\n"));
}

TEST(WrongConfigurations, RanksAreNotJudgedWhileUnknown) {
  const std::string path = WriteConfig("ranks.textproto", ValidText());
  EXPECT_TRUE(Load(path, {"layout.expert_parallel=3", "layout.expert_owner=[]"}).ok());
}

// Damaged in every way a keyboard can: always a report, never a crash; nearly all in one go.
TEST(WrongConfigurations, EveryTruncationIsReportedOrValid) {
  const std::string text = ValidText();
  for (size_t size = 0; size < text.size(); ++size) {
    const std::string path = WriteConfig("cut.textproto", text.substr(0, size));
    const absl::StatusOr<LoadedConfig> loaded = Load(path);
    if (loaded.ok()) continue;  // only what has defaults was cut off
    EXPECT_EQ(loaded.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_FALSE(Problems(loaded.status()).empty()) << text.substr(0, size);
  }
}

TEST(WrongConfigurations, EveryReplacedByteIsReportedOrValid) {
  const std::string text = ValidText();
  for (const char byte : {'}', '{', '"', '\n', '\0', 'x'}) {
    for (size_t i = 0; i < text.size(); i += 3) {
      std::string damaged = text;
      damaged[i] = byte;
      const absl::StatusOr<LoadedConfig> loaded = Load(WriteConfig("byte.textproto", damaged));
      EXPECT_NE(loaded.ok(), !Problems(loaded.status()).empty()) << damaged;
    }
  }
}

TEST(WrongConfigurations, DeepNestingIsRefused) {
  const std::string path = WriteConfig("deep.textproto", "x: " + std::string(100000, '['));
  EXPECT_THAT(std::string(Load(path).status().message()), HasSubstr("nested too deep"));
}

}  // namespace
}  // namespace equipoise::launcher
