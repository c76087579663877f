#include "launcher/config/experiment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "launcher/config/loader.h"
#include "tests/launcher/config/config_text.h"

namespace equipoise::launcher {
namespace {

using ::testing::ElementsAre;

Experiment With(const std::vector<std::string>& overrides) {
  const auto config = Load(WriteConfig("experiment.textproto", ValidText()), overrides);
  EXPECT_TRUE(config.ok()) << config.status();
  return config->experiment;
}

std::vector<std::string> DifferencesWith(const std::vector<std::string>& overrides) {
  const Experiment before = With({});
  const Experiment after = With(overrides);
  const std::vector<std::string> differences = DifferencesOf(before, after);
  EXPECT_EQ(differences.empty(), before.hash() == after.hash());
  return differences;
}

TEST(Experiment, WhatCannotChangeTheResultIsNoPartOfIt) {
  for (const char* override :
       {"name=other", "max_minutes=3", "layout.recompute=true", "layout.expert_owner=[]",
        "layout.bucket_elements=7", "layout.exchange_chunks=4", "checkpoint.resume=must",
        "checkpoint.every_steps=3", "checkpoint.keep=9", "telemetry.console_every_steps=4",
        "wait.stop_seconds=77", "validation.every_steps=3", "data.root=/elsewhere"}) {
    EXPECT_THAT(DifferencesWith({override}), ElementsAre()) << override;
  }
}

TEST(Experiment, DifferencesAreNamed) {
  EXPECT_THAT(DifferencesWith({"moe.expert_width=77"}),
              ElementsAre("moe.expert_width is 32 there and 77 here"));
  EXPECT_THAT(DifferencesWith({"seed=77", "optimizer.adamw.beta1=0.5"}),
              ElementsAre("optimizer.adamw.beta1 is 0.9 there and 0.5 here",
                          "seed is 7 there and 77 here"));
}

TEST(Experiment, AnotherRouterIsOneDifference) {
  EXPECT_THAT(DifferencesWith({"moe.router.hash={}", "moe.balance_loss.coefficient=0"}),
              ElementsAre("moe.balance_loss.coefficient is 0.01 there and 0 here",
                          "moe.router is top_k there and hash here"));
}

TEST(Experiment, AnotherNumberOfDomainsIsADifference) {
  Experiment one;
  one.fields = {{"data.domain", "a list of 1"}, {"data.domain[0].name", "\"a\""}};
  Experiment two = one;
  two.fields["data.domain"] = "a list of 2";
  two.fields["data.domain[1].name"] = "\"b\"";
  EXPECT_THAT(DifferencesOf(two, one),
              ElementsAre("data.domain is a list of 2 there and a list of 1 here"));
  EXPECT_NE(one.hash(), two.hash());
}

}  // namespace
}  // namespace equipoise::launcher
