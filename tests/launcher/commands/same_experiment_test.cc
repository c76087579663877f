#include "launcher/commands/same_experiment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_replace.h"
#include "launcher/config/loader.h"
#include "tests/launcher/config/config_text.h"

namespace equipoise::launcher {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

LoadedConfig With(const std::vector<std::string>& overrides) {
  auto config = Load(WriteConfig("run.textproto", ValidText()), overrides);
  EXPECT_TRUE(config.ok()) << config.status();
  return *std::move(config);
}

// A run directory whose configuration has this text.
std::string DirectoryWith(const std::string& text) {
  const std::string path = ::testing::TempDir() + "run_directory";
  std::filesystem::create_directories(path);
  std::ofstream(path + "/config.textproto") << text;
  return path;
}

TEST(SameExperiment, NewDirectoriesAreFine) {
  EXPECT_TRUE(CheckSameExperiment("/nowhere/at/all", With({}).experiment).ok());
}

TEST(SameExperiment, GoesOnWithAnotherLayoutAndOtherWaits) {
  const std::string path = DirectoryWith(With({}).resolved_text);
  const LoadedConfig again = With({"layout.recompute=true", "wait.stop_seconds=99", "name=b"});
  EXPECT_TRUE(CheckSameExperiment(path, again.experiment).ok());
}

TEST(SameExperiment, RefusesTheDirectoryOfASweep) {
  const std::string path = ::testing::TempDir() + "sweep_directory";
  std::filesystem::create_directories(path);
  std::ofstream(path + "/sweep.json") << "{}";
  EXPECT_THAT(std::string(CheckSameExperiment(path, With({}).experiment).message()),
              HasSubstr("is the directory of a sweep"));
}

TEST(SameExperiment, RefusesAnotherModelByField) {
  const std::string path = DirectoryWith(With({}).resolved_text);
  const absl::Status status = CheckSameExperiment(path, With({"moe.top_k=3"}).experiment);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("belongs to another experiment: moe.top_k is 2 there and 3 here. "),
                    HasSubstr("--run_dir"), HasSubstr(path + "/ckpt")));
}

TEST(SameExperiment, NamesNoMoreThanHelps) {
  const std::string path = DirectoryWith(With({}).resolved_text);
  const absl::Status status = CheckSameExperiment(
      path, With({"moe.top_k=3", "seed=9", "steps=1000", "moe.expert_width=3", "batch.sequences=99",
                  "optimizer.adamw.beta1=0.1", "optimizer.adamw.beta2=0.1",
                  "optimizer.adamw.epsilon=0.1", "model.rope_theta=3", "data.separator=3"})
                .experiment);
  EXPECT_THAT(std::string(status.message()), HasSubstr("; and 2 more. "));
}

TEST(SameExperiment, RefusesWhatItCannotRead) {
  const absl::Status status =
      CheckSameExperiment(DirectoryWith("stepps: 3\n"), With({}).experiment);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("not one of this version"), HasSubstr("did you mean steps?")));
}

// As a version stored it that did not know yet that the setting does nothing.
TEST(SameExperiment, GoesOnWithAStoredSettingThatHasNoEffect) {
  const std::string stored = absl::StrReplaceAll(
      With({}).resolved_text, {{"selection: SCORE_ALL", "selection: SCORE_SELECTED"}});
  ASSERT_NE(stored, With({}).resolved_text);
  const std::string path = DirectoryWith(stored);
  EXPECT_TRUE(CheckSameExperiment(path, With({}).experiment).ok())
      << CheckSameExperiment(path, With({}).experiment);
  // What else differs is still found, and who writes it anew is told.
  EXPECT_THAT(std::string(CheckSameExperiment(path, With({"moe.top_k=3"}).experiment).message()),
              HasSubstr("moe.top_k is 2 there and 3 here"));
  LoadRequest request;
  request.path = path + "/config.textproto";
  EXPECT_THAT(std::string(LoadConfig(request).status().message()), HasSubstr("has no effect"));
}

// As a version stored it whose rules allowed it: what to do is said.
TEST(SameExperiment, TellsWhatToDoWhereTheStoredConfigurationIsRefusedToday) {
  const std::string path = DirectoryWith(absl::StrReplaceAll(
      With({}).resolved_text, {{"accumulation_steps: 2", "accumulation_steps: 17"}}));
  const absl::Status status = CheckSameExperiment(path, With({}).experiment);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("its configuration is not one of this version:\n" + path),
                    HasSubstr("accumulation_steps"), HasSubstr("of its own with --run_dir"),
                    HasSubstr("checkpoint.resume to a checkpoint below " + path + "/ckpt")));
}

}  // namespace
}  // namespace equipoise::launcher
