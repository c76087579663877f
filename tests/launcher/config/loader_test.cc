#include "launcher/config/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tests/launcher/config/config_text.h"

namespace equipoise::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

TEST(Loader, TranslatesEveryTopic) {
  const auto loaded = Load(WriteConfig("valid.textproto", ValidText()), {}, 4);
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  const RunOptions& options = loaded->options;
  const parallel::TrainOptions& train = options.train;
  EXPECT_EQ(options.name, "test");
  EXPECT_EQ(train.seed, 7u);
  EXPECT_EQ(train.steps, 100);
  EXPECT_EQ(train.time_limit, absl::InfiniteDuration());
  EXPECT_EQ(train.model.hidden, 48);
  EXPECT_EQ(train.model.num_kv_heads, 2);
  EXPECT_EQ(train.model.moe.router.kind, "top_k");
  EXPECT_EQ(train.model.moe.router.num_experts, 8);
  EXPECT_EQ(train.model.moe.router.top_k, 2);
  EXPECT_EQ(train.model.moe.router.settings.GetString("score"), "SIGMOID");
  EXPECT_EQ(train.model.moe.router.settings.GetString("selection"), "SCORE_ALL");
  EXPECT_TRUE(train.model.moe.router.settings.GetBool("renormalise"));
  EXPECT_EQ(train.model.moe.router.settings.GetDouble("scaling_factor"), 1.0);
  EXPECT_EQ(train.model.moe.router.balance_loss.coefficient, 0.01);
  EXPECT_THAT(train.layout.expert_owner, ElementsAre(0, 0, 1, 1, 0, 0, 1, 1));
  EXPECT_EQ(train.batch.accumulation_steps, 2);
  EXPECT_EQ(train.optimizer.schedule.kind, ScheduleKind::kWsd);
  EXPECT_EQ(train.optimizer.schedule.total_steps, 100);
  EXPECT_EQ(train.optimizer.schedule.decay_steps, 20);
  EXPECT_EQ(options.patience.warn_after, absl::Seconds(5));
  ASSERT_THAT(train.data.sources, SizeIs(2));
  EXPECT_THAT(train.data.sources[1].paths, ElementsAre("b.bytes", "c.bytes"));
  EXPECT_EQ(train.data.sources[1].weight, 2.5);
  EXPECT_EQ(train.data.vocab_size, 257);
  EXPECT_EQ(train.data.sequence_length, 32);
  ASSERT_THAT(options.validation_data.sources, SizeIs(1));
  EXPECT_EQ(options.validation_data.sources[0].domain, "a");
}

TEST(Loader, FillsInWhatOtherFieldsDecide) {
  const std::string path = WriteConfig("derive me.textproto", ValidText());
  const auto loaded = Load(path, {"name=", "model.num_kv_heads=0", "model.head_dim=0"});
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  EXPECT_EQ(loaded->options.name, "derive-me");
  EXPECT_EQ(loaded->options.train.model.num_kv_heads, 6);
  EXPECT_EQ(loaded->options.train.model.head_dim, 8);
}

TEST(Loader, LaterOverridesWin) {
  const std::string path = WriteConfig("later.textproto", ValidText());
  const auto loaded =
      Load(path,
           {"moe.top_k=3", "moe.top_k = 4", "layout.expert_owner=[1,1,1,1,0,0,0,0]",
            "data.root=/corpus", "optimizer.adamw.beta2=0.99", "checkpoint.resume='./some where'"});
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  const parallel::TrainOptions& train = loaded->options.train;
  EXPECT_EQ(train.model.moe.router.top_k, 4);
  EXPECT_THAT(train.layout.expert_owner, ElementsAre(1, 1, 1, 1, 0, 0, 0, 0));
  EXPECT_THAT(train.data.sources[0].paths, ElementsAre("/corpus/a.bytes"));
  EXPECT_EQ(train.optimizer.adamw.beta1, 0.9);
  EXPECT_EQ(train.optimizer.adamw.beta2, 0.99);
  EXPECT_EQ(train.checkpoint.resume, "./some where");
}

TEST(Loader, LinksComeFromAFileAndFieldsOverIt) {
  const std::string links =
      WriteConfig("two links", "node 1e-5 1e-9 # seconds\nremote 1e-4 8e-9\n");
  const std::string file = "layout.links.file='" + links + "'";
  const std::string path = WriteConfig("links.textproto", ValidText());
  const auto loaded = Load(
      path, {file, "layout.links.node.latency=2e-5", "layout.links.node.seconds_per_byte=3e-9"});
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  const comm::LinkModel& read = loaded->options.train.layout.links;
  EXPECT_EQ(read[comm::LinkClass::kNode].latency, 2e-5);
  EXPECT_THAT(read[comm::LinkClass::kNode].seconds_per_byte, ::testing::Each(3e-9));
  EXPECT_EQ(read[comm::LinkClass::kRemote].latency, 1e-4);
  EXPECT_FALSE(read[comm::LinkClass::kSelf].known());

  WriteConfig("two links", "node 1e-5 1e-9\nremote fast\n");
  EXPECT_THAT(Problems(Load(path, {file}).status()),
              ElementsAre(HasSubstr("two links: line 2 has 2 words")));
  WriteConfig("two links", "# node 1e-5 1e-9\n\n");
  EXPECT_THAT(Problems(Load(path, {file}).status()),
              ElementsAre(HasSubstr("two links: it has no line that says what a link costs")));
}

TEST(Loader, OverrideSwitchesTheRouter) {
  const std::string path = WriteConfig("router.textproto", ValidText());
  const auto loaded = Load(path, {"moe.router.hash={}", "moe.balance_loss.coefficient=0"});
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  EXPECT_EQ(loaded->options.train.model.moe.router.kind, "hash");
  const auto block = Load(path, {"moe.router.lpr={mode: LEAN}", "moe.router.lpr.latent_dim=8"});
  ASSERT_TRUE(block.ok()) << block.status().message();
  EXPECT_EQ(block->options.train.model.moe.router.settings.GetString("mode"), "LEAN");
  EXPECT_EQ(block->options.train.model.moe.router.settings.GetInt("latent_dim"), 8);
}

TEST(Loader, AFieldOfAnotherRouterSwitchesItWhereNoSettingIsLost) {
  for (const char* line : {"", "  router { top_k {} }", "  router { top_k { score: SOFTMAX } }"}) {
    const std::string path = WriteConfig("plain_router.textproto", WithLine(18, line));
    const auto loaded = Load(path, {"moe.router.lpr.mode=LEAN"});
    ASSERT_TRUE(loaded.ok()) << loaded.status().message();
    EXPECT_EQ(loaded->options.train.model.moe.router.kind, "lpr");
  }
}

TEST(Loader, ALaterTextMayTakeAwayTheEffectOfASetting) {
  const std::string path = WriteConfig(
      "switched_off.textproto",
      WithLine(
          18,
          "  balance_loss { scope: SEQUENCE } router { top_k { bias { rule: SIGN rate: 0.1 } } }"));
  const auto off =
      Load(path, {"moe.balance_loss.coefficient=0", "moe.router.top_k.bias.rule=NONE"});
  ASSERT_TRUE(off.ok()) << off.status().message();
  // It is no part of the run: the resolved text must be a configuration too.
  EXPECT_THAT(off->resolved_text, Not(HasSubstr("SEQUENCE")));
  EXPECT_EQ(off->options.train.model.moe.router.settings.GetDouble("bias.rate"), 0.001);
  const auto again = Load(WriteConfig("resolved_off.textproto", off->resolved_text));
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again->hash, off->hash);
}

TEST(Loader, ADefaultWithoutEffectMayBeGiven) {
  const std::string path = WriteConfig(
      "harmless.textproto",
      WithLine(18,
               "  router { top_k { bias { rate: 0.001 bins: 128 } entropy_loss { order: 1 } } }"));
  const auto loaded = Load(path, {"moe.router.top_k.bias.margin_range=1"});
  EXPECT_TRUE(loaded.ok()) << loaded.status().message();
}

TEST(Loader, OverrideReplacesADomainList) {
  const std::string path = WriteConfig("domains.textproto", ValidText());
  const auto loaded = Load(
      path, {"data.domain=[{name: \"c\" train: \"c*.bin\" format: NANO_GPT validation: \"d\"}]"});
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  ASSERT_THAT(loaded->options.train.data.sources, SizeIs(1));
  EXPECT_EQ(loaded->options.train.data.sources[0].format, TokenFormat::kNanoGpt);
}

TEST(Loader, IncludesComeFirstAndLaterWins) {
  WriteConfig("one.textproto", "seed: 1 steps: 11 layout { recompute: true bucket_elements: 5 }");
  WriteConfig("two.textproto",
              "seed: 2\nlayout { bucket_elements: 6 }\n"
              "data { domain { name: \"old\" train: \"old\" } }");
  const std::string text = "name: \"main\" # the next line comes first wherever it stands\n" +
                           WithLine(3, "include: [\"one.textproto\", \"two.textproto\"]");
  std::string without_name = text;
  without_name.replace(without_name.find("name: \"test\""), 12, "");
  const auto loaded = Load(WriteConfig("main.textproto", without_name));
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  const parallel::TrainOptions& train = loaded->options.train;
  EXPECT_EQ(loaded->options.name, "main");
  EXPECT_EQ(train.seed, 2u);                   // the second include over the first
  EXPECT_EQ(train.steps, 100);                 // the file over both
  EXPECT_TRUE(train.layout.recompute);         // blocks are merged
  EXPECT_EQ(train.layout.bucket_elements, 6);  // field by field
  ASSERT_THAT(train.data.sources, SizeIs(2));  // lists are replaced
  EXPECT_EQ(train.data.sources[0].domain, "a");
  EXPECT_THAT(loaded->files, SizeIs(3));
}

TEST(Loader, ProblemsOfIncludedFilesNameThem) {
  WriteConfig("bad.textproto", "\nsede: 1");
  const std::string path =
      WriteConfig("outer.textproto", WithLine(1, "include: \"bad.textproto\""));
  EXPECT_THAT(Problems(Load(path).status()),
              ElementsAre("bad.textproto:2:1: no field 'sede' in a configuration; did you mean "
                          "seed?"));
}

TEST(Loader, IncludeCyclesAreTold) {
  WriteConfig("ring2.textproto", "# back\n  include: \"./ring1.textproto\"");
  const std::string path =
      WriteConfig("ring1.textproto", WithLine(1, "include: \"ring2.textproto\""));
  EXPECT_THAT(Problems(Load(path).status()),
              ElementsAre("ring2.textproto:2:12: include goes round in a circle: ring1.textproto "
                          "includes ring2.textproto includes ring1.textproto"));
  const std::string self =
      WriteConfig("self.textproto", WithLine(1, "include: \"self.textproto\""));
  EXPECT_THAT(std::string(Load(self).status().message()), HasSubstr("round in a circle"));
}

TEST(Loader, MissingFilesAreToldWithTheirNeighbours) {
  WriteConfig("present.textproto", ValidText());
  const std::string path = testing::TempDir() + "presnet.textproto";
  EXPECT_THAT(std::string(Load(path).status().message()), HasSubstr("no such file; did you mean "));
  const std::string outer =
      WriteConfig("includes.textproto", WithLine(1, "include: \"presen.textproto\""));
  EXPECT_THAT(std::string(Load(outer).status().message()),
              HasSubstr("includes.textproto:1:10: include \"presen.textproto\": "));
  EXPECT_THAT(std::string(Load(testing::TempDir()).status().message()), HasSubstr("is not a file"));
}

TEST(Loader, ResolvedTextIsAFixedPoint) {
  const std::string path = WriteConfig("fixed.textproto", ValidText());
  for (const std::vector<std::string>& overrides :
       {std::vector<std::string>{},
        std::vector<std::string>{"moe.router.hash={}", "moe.balance_loss.coefficient=0"},
        std::vector<std::string>{"optimizer.adamw.epsilon=1.2345678901234567e-13",
                                 "data.root=with \"quotes\" and \\ and \t"}}) {
    const auto first = Load(path, overrides);
    ASSERT_TRUE(first.ok()) << first.status().message();
    const auto second = Load(WriteConfig("again.textproto", first->resolved_text));
    ASSERT_TRUE(second.ok()) << second.status().message();
    EXPECT_EQ(second->resolved_text, first->resolved_text);
    EXPECT_EQ(second->hash, first->hash);
  }
}

TEST(Loader, DenseModelsNeedNoExperts) {
  const std::string path = WriteConfig("dense.textproto", R"(
steps: 1
model { vocabulary: 257 hidden: 8 num_layers: 1 num_heads: 1 num_dense_layers: 1 dense_width: 8 }
batch { sequences: 1 sequence_length: 4 }
data { domain { name: "a" train: "a" } }
)");
  const auto dense = Load(path);
  ASSERT_TRUE(dense.ok()) << dense.status().message();
  const auto again = Load(WriteConfig("dense2.textproto", dense->resolved_text));
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again->options.train.model.dense_width, 8);
}

TEST(Loader, HashTellsConfigurationsApart) {
  const std::string path = WriteConfig("hash.textproto", ValidText());
  const auto one = Load(path);
  const auto same = Load(path, {"seed=7"});
  const auto other = Load(path, {"seed=8"});
  ASSERT_TRUE(one.ok() && same.ok() && other.ok());
  EXPECT_EQ(one->hash.size(), 16u);
  EXPECT_EQ(one->hash, same->hash);
  EXPECT_NE(one->hash, other->hash);
}

}  // namespace
}  // namespace equipoise::launcher
