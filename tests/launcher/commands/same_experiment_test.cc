#include "launcher/commands/same_experiment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_replace.h"
#include "core/io/checkpoint_directory.h"
#include "core/io/file_system.h"
#include "core/io/manifest.h"
#include "launcher/config/loader.h"
#include "parallel/node_record.h"
#include "tests/launcher/config/config_text.h"

namespace equipoise::launcher {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

LoadedConfig With(const std::vector<std::string>& overrides) {
  auto config = Load(WriteConfig("run.textproto", ValidText()), overrides);
  EXPECT_TRUE(config.ok()) << config.status();
  return *std::move(config);
}

// The directory of a run whose configuration has this text, with rows of metrics.
std::string DirectoryWith(const std::string& text) {
  const std::string path = ::testing::TempDir() + "run_directory";
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  std::ofstream(path + "/config.textproto") << text;
  std::ofstream(path + "/metrics.jsonl") << "{}\n";
  return path;
}

// Puts a checkpoint there, trained with so many nodes; 0: it does not say.
void AddCheckpoint(const std::string& directory, int nodes, const std::string& hash = "") {
  const auto files = NewPosixFileSystem();
  CheckpointDirectory checkpoints(*files, directory + "/ckpt");
  ASSERT_TRUE(checkpoints.Prepare().ok());
  Manifest manifest;
  manifest.step = 7;
  manifest.config_hash = hash;
  if (nodes > 0) parallel::RecordNodes(nodes, manifest);
  const auto begun = checkpoints.Begin(manifest.step);
  ASSERT_TRUE(begun.ok()) << begun.status();
  const auto committed = checkpoints.Commit(*begun, manifest);
  ASSERT_TRUE(committed.ok()) << committed.status();
}

absl::StatusOr<StoredRun> CheckRun(const std::string& path,
                                   const std::vector<std::string>& overrides) {
  return CheckSameExperiment(*NewPosixFileSystem(), path, With(overrides));
}

absl::Status Check(const std::string& path, const std::vector<std::string>& overrides) {
  return CheckRun(path, overrides).status();
}

TEST(SameExperiment, NewDirectoriesAreFine) { EXPECT_TRUE(Check("/nowhere/at/all", {}).ok()); }

TEST(SameExperiment, GoesOnWithAnotherLayoutAndOtherWaits) {
  const std::string path = DirectoryWith(With({}).resolved_text);
  EXPECT_TRUE(Check(path, {"layout.recompute=true", "wait.stop_seconds=99", "name=b"}).ok());
}

TEST(SameExperiment, RefusesTheDirectoryOfASweep) {
  const std::string path = ::testing::TempDir() + "sweep_directory";
  std::filesystem::create_directories(path);
  std::ofstream(path + "/sweep.json") << "{}";
  EXPECT_THAT(std::string(Check(path, {}).message()), HasSubstr("is the directory of a sweep"));
}

TEST(SameExperiment, RefusesAnotherModelByField) {
  const std::string path = DirectoryWith(With({}).resolved_text);
  const absl::Status status = Check(path, {"moe.top_k=3"});
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("belongs to another experiment: moe.top_k is 2 there and 3 here. "),
                    HasSubstr("--run_dir"), HasSubstr(path + "/ckpt")));
}

TEST(SameExperiment, NamesNoMoreThanHelps) {
  const std::string path = DirectoryWith(With({}).resolved_text);
  const absl::Status status =
      Check(path, {"moe.top_k=3", "seed=9", "steps=1000", "moe.expert_width=3",
                   "batch.sequences=99", "optimizer.adamw.beta1=0.1", "optimizer.adamw.beta2=0.1",
                   "optimizer.adamw.epsilon=0.1", "model.rope_theta=3", "data.separator=3"});
  EXPECT_THAT(std::string(status.message()), HasSubstr("; and 2 more. "));
}

TEST(SameExperiment, RefusesWhatItCannotRead) {
  const absl::Status status = Check(DirectoryWith("stepps: 3\n"), {});
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
  EXPECT_TRUE(Check(path, {}).ok()) << Check(path, {});
  // What else differs is still found, and who writes it anew is told.
  EXPECT_THAT(std::string(Check(path, {"moe.top_k=3"}).message()),
              HasSubstr("moe.top_k is 2 there and 3 here"));
  LoadRequest request;
  request.path = path + "/config.textproto";
  EXPECT_THAT(std::string(LoadConfig(request).status().message()), HasSubstr("has no effect"));
}

// As a version stored it whose rules allowed it: what to do is said.
TEST(SameExperiment, TellsWhatToDoWhereTheStoredConfigurationIsRefusedToday) {
  const std::string path = DirectoryWith(absl::StrReplaceAll(
      With({}).resolved_text, {{"accumulation_steps: 2", "accumulation_steps: 17"}}));
  const absl::Status status = Check(path, {});
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("its configuration is not one of this version:\n" + path),
                    HasSubstr("accumulation_steps"), HasSubstr("of its own with --run_dir"),
                    HasSubstr("checkpoint.resume to a checkpoint below " + path + "/ckpt")));
}

// All that a start leaves that was refused before its first step.
TEST(SameExperiment, ARefusedStartBindsNobody) {
  const std::string path = DirectoryWith(With({}).resolved_text);
  std::filesystem::remove(path + "/metrics.jsonl");
  std::filesystem::create_directories(path + "/ckpt");
  EXPECT_TRUE(Check(path, {"moe.top_k=3"}).ok());
  std::ofstream(path + "/metrics.jsonl") << "";
  EXPECT_TRUE(Check(path, {"moe.top_k=3"}).ok()) << "no row";
  AddCheckpoint(path, 0);
  EXPECT_FALSE(Check(path, {"moe.top_k=3"}).ok()) << "a checkpoint";
  std::filesystem::remove(path + "/ckpt/step-00000007/MANIFEST.json");
  EXPECT_FALSE(Check(path, {"moe.top_k=3"}).ok()) << "what is left of one";
  std::filesystem::remove_all(path + "/ckpt");
  EXPECT_TRUE(Check(path, {"moe.top_k=3"}).ok());
  std::ofstream(path + "/metrics.jsonl.1") << "{}\n";
  EXPECT_FALSE(Check(path, {"moe.top_k=3"}).ok()) << "rows that were set aside";
}

// A run of With({}), with one checkpoint and whole files.
std::string WholeRun() {
  const LoadedConfig config = With({});
  const std::string path = DirectoryWith(config.resolved_text);
  AddCheckpoint(path, 0, config.hash);
  std::ofstream(path + "/run.json")
      << R"({"format": 1, "starts": [{"config_hash": ")" << config.hash << R"("}]})";
  return path;
}

TEST(SameExperiment, AWholeRunHasLostNothing) {
  const absl::StatusOr<StoredRun> run = CheckRun(WholeRun(), {"wait.stop_seconds=99"});
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_TRUE(run->has_begun);
  EXPECT_THAT(run->damage, IsEmpty());
}

// What is left of the file may be a valid configuration: that of another run.
TEST(SameExperiment, AConfigurationThatIsLostOnlyGoesOnAsItWas) {
  const std::string text = With({}).resolved_text;
  const std::string half = text.substr(0, text.find("\noptimizer {") + 1);
  ASSERT_LT(half.size(), text.size());
  for (const auto& [left, is] : {std::pair<std::string, const char*>{"", "is empty"},
                                 {half, "is damaged"},
                                 {text.substr(0, 70), "is damaged"},
                                 {"gone", "is missing"}}) {
    for (const bool has_record : {true, false}) {
      const std::string path = WholeRun();
      if (!has_record) std::filesystem::remove(path + "/run.json");
      std::ofstream(path + "/config.textproto") << left;
      if (left == "gone") std::filesystem::remove(path + "/config.textproto");
      const absl::StatusOr<StoredRun> same = CheckRun(path, {});
      ASSERT_TRUE(same.ok()) << same.status();
      EXPECT_THAT(same->damage, Contains(AllOf(HasSubstr("config.textproto"), HasSubstr(is))));
      for (const char* changed : {"moe.top_k=3", "optimizer.adamw.beta1=0.5", "seed=9"}) {
        const absl::Status status = Check(path, {changed});
        EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << changed;
        EXPECT_THAT(std::string(status.message()),
                    AllOf(HasSubstr("its configuration is not known"), HasSubstr(is),
                          HasSubstr("Nothing was changed"), HasSubstr("--run_dir"),
                          HasSubstr("checkpoint.resume to a checkpoint below " + path + "/ckpt")));
      }
    }
  }
}

TEST(SameExperiment, WithoutCheckpointsTheLastStartTellsTheConfiguration) {
  const std::string path = WholeRun();
  std::filesystem::remove_all(path + "/ckpt");
  std::filesystem::remove(path + "/config.textproto");
  EXPECT_TRUE(Check(path, {}).ok());
  EXPECT_FALSE(Check(path, {"seed=9"}).ok());
  std::filesystem::remove(path + "/run.json");
  EXPECT_FALSE(Check(path, {}).ok()) << "nothing tells";
}

TEST(SameExperiment, TellsWhatToDoWhereNothingCanBeRead) {
  const std::string path = WholeRun();
  std::filesystem::remove_all(path + "/ckpt");
  std::ofstream(path + "/ckpt") << "a file";
  for (const std::string& directory : {path, path + "/ckpt"}) {
    EXPECT_THAT(std::string(Check(directory, {}).message()),
                AllOf(HasSubstr("the run directory '" + directory + "' cannot be used"),
                      HasSubstr("Not a directory"), HasSubstr("--run_dir")));
  }
}

TEST(SameExperiment, ALostRecordOfStartsIsTold) {
  for (const char* text : {"", "{\"starts\":", "[]", "gone"}) {
    const std::string path = WholeRun();
    std::ofstream(path + "/run.json") << text;
    if (text == std::string("gone")) std::filesystem::remove(path + "/run.json");
    const absl::StatusOr<StoredRun> run = CheckRun(path, {"wait.stop_seconds=99"});
    ASSERT_TRUE(run.ok()) << run.status();
    EXPECT_THAT(run->damage, ElementsAre(HasSubstr("run.json is "))) << text;
    EXPECT_FALSE(Check(path, {"seed=9"}).ok());
  }
}

TEST(SameExperiment, NodesMayBeSaidOrLeftToTheCheckpoint) {
  const std::vector<std::string> prefers = {"moe.locality.bias.mode=CONTROLLER"};
  const auto with = [&](const char* nodes) {
    return std::vector<std::string>{prefers[0], std::string("moe.locality.nodes=") + nodes};
  };
  const std::string path = DirectoryWith(With(prefers).resolved_text);
  EXPECT_THAT(std::string(Check(path, with("2")).message()),
              HasSubstr("moe.locality.nodes is 0 there and 2 here"));
  AddCheckpoint(path, 0);
  EXPECT_FALSE(Check(path, with("2")).ok()) << "from before it was kept";
  std::filesystem::remove_all(path + "/ckpt");
  AddCheckpoint(path, 2);
  EXPECT_TRUE(Check(path, with("0")).ok());
  EXPECT_TRUE(Check(path, with("2")).ok()) << Check(path, with("2"));
  EXPECT_THAT(std::string(Check(path, with("3")).message()),
              HasSubstr("belongs to another experiment: moe.locality.nodes is 2 there and 3 here"));
  // The configuration there is that of the last start.
  DirectoryWith(With(with("2")).resolved_text);
  AddCheckpoint(path, 2);
  EXPECT_TRUE(Check(path, with("0")).ok()) << Check(path, with("0"));
  EXPECT_FALSE(Check(path, with("3")).ok());
}

}  // namespace
}  // namespace equipoise::launcher
