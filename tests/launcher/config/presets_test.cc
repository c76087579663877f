// Every configuration we ship is valid, prints as itself, and is what its name says.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "launcher/config/sweep_loader.h"
#include "tests/launcher/config/config_text.h"

namespace equipoise::launcher {
namespace {

constexpr char kFolder[] = "configs/presets/";

LoadedConfig LoadPreset(const std::string& name, std::optional<int> num_ranks) {
  const auto loaded = Load(std::string(kFolder) + name, {}, num_ranks);
  EXPECT_TRUE(loaded.ok()) << loaded.status().message();
  return loaded.ok() ? *loaded : LoadedConfig();
}

TEST(Presets, AllAreValidAndPrintAsThemselves) {
  int num_presets = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (entry.path().extension() != ".textproto") continue;
    ++num_presets;
    const auto loaded = Load(entry.path().string(), {}, 4);
    ASSERT_TRUE(loaded.ok()) << loaded.status().message();
    EXPECT_EQ(loaded->options.name, entry.path().stem().string());
    const auto again = Load(WriteConfig("resolved.textproto", loaded->resolved_text), {}, 4);
    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_EQ(again->resolved_text, loaded->resolved_text);
  }
  EXPECT_EQ(num_presets, 4);
}

TEST(Studies, RowsAndSweepsAreValid) {
  const std::string folder = "configs/studies/routers/";
  int num_rows = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder + "rows")) {
    const auto loaded = Load(entry.path().string(), {}, 1);
    EXPECT_TRUE(loaded.ok()) << loaded.status().message();
    ++num_rows;
  }
  EXPECT_EQ(num_rows, 12);
  for (const char* file : {"main.textproto", "ablation.textproto"}) {
    const auto sweep = LoadSweep(folder + file, {});
    EXPECT_TRUE(sweep.ok()) << sweep.status().message();
  }
}

// Parameters by the models' published layer shapes; all but the norms' few.
int64_t NumParameters(const parallel::ModelOptions& model, int64_t experts) {
  const int64_t attention =
      model.hidden * model.head_dim * 2 * (model.num_heads + model.num_kv_heads);
  const int64_t mlp = 3 * model.hidden * model.moe.expert_width * experts;
  const int64_t router = model.hidden * model.moe.router.num_experts;
  const int64_t embeddings = model.vocabulary * model.hidden * (model.tied_embeddings ? 1 : 2);
  return model.num_layers * (attention + mlp + router) + embeddings;
}

TEST(Presets, MixtralHasItsPublishedSize) {
  const parallel::ModelOptions model =
      LoadPreset("mixtral-8x7b.textproto", 256).options.train.model;
  EXPECT_NEAR(static_cast<double>(NumParameters(model, 8)), 46.7e9, 0.05e9);
  EXPECT_NEAR(static_cast<double>(NumParameters(model, 2)), 12.9e9, 0.05e9);
}

TEST(Presets, QwenHasItsPublishedSize) {
  const parallel::ModelOptions model =
      LoadPreset("qwen3-30b-a3b.textproto", 256).options.train.model;
  EXPECT_NEAR(static_cast<double>(NumParameters(model, 128)), 30.5e9, 0.05e9);
  EXPECT_NEAR(static_cast<double>(NumParameters(model, 8)), 3.3e9, 0.1e9);
  EXPECT_TRUE(model.qk_norm);
}

}  // namespace
}  // namespace equipoise::launcher
