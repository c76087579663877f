#include "core/telemetry/run_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/io/atomic_file.h"
#include "core/io/in_memory_file_system.h"

namespace equipoise {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

RunDirectoryOptions Sample() {
  RunDirectoryOptions options;
  options.runs = "/runs";
  options.config_name = "small";
  options.config_text = "steps: 10\n";
  options.overrides = {"moe.top_k=2", "steps=10"};
  options.command_line = {"equipoise", "train", "--set", "name=\"a b\""};
  options.environment = {"OMP_NUM_THREADS=1", "HOME=/root", "SLURM_JOB_ID=7=8",
                         "SLURM_API_KEY=hush", "odd"};
  options.versions = {{"equipoise", "0.1"}};
  options.hosts = {"node0", "node1"};
  options.start_time = absl::FromUnixSeconds(1'000'000'000);  // 2001-09-09 01:46:40 UTC
  return options;
}

std::string Read(const FileSystem& disk, const std::string& path) {
  const auto view = disk.Map(path);
  return view.ok() ? std::string((*view)->text()) : std::string(view.status().message());
}

TEST(RunDirectoryTest, DefaultNameHasConfigTimeAndHash) {
  InMemoryFileSystem disk;
  const auto run = RunDirectory::Create(disk, Sample());
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->path(), "/runs/small-20010909-014640-" + ConfigHash("steps: 10\n").substr(0, 4));
  EXPECT_EQ(run->metrics_path(), run->path() + "/metrics.jsonl");
  EXPECT_EQ(run->checkpoint_path(), run->path() + "/ckpt");
  EXPECT_EQ(run->log_path(3), run->path() + "/log/rank00003.log");
  const auto second = RunDirectory::Create(disk, Sample());
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->path(), run->path() + "-2") << "never the directory of another run";
}

TEST(RunDirectoryTest, WritesWhatTheRunIs) {
  InMemoryFileSystem disk;
  RunDirectoryOptions options = Sample();
  options.path = "/r";
  const auto run = RunDirectory::Create(disk, options);
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_THAT(*disk.List("/r"),
              ElementsAre("STATUS.json", "config.textproto", "log", "overrides.txt", "run.json"));
  EXPECT_EQ(Read(disk, "/r/config.textproto"), "steps: 10\n");
  EXPECT_EQ(Read(disk, "/r/overrides.txt"), "moe.top_k=2\nsteps=10\n");
  const json start = json::parse(Read(disk, "/r/run.json"))["starts"][0];
  EXPECT_EQ(start["command_line"][3], "name=\"a b\"");
  EXPECT_EQ(start["start_time"], "2001-09-09T01:46:40Z");
  EXPECT_EQ(start["environment"], (json{{"OMP_NUM_THREADS", "1"}, {"SLURM_JOB_ID", "7=8"}}));
  EXPECT_EQ(start["hosts"], (json{"node0", "node1"}));
  EXPECT_EQ(start["versions"]["equipoise"], "0.1");
  EXPECT_EQ(start["config_hash"], ConfigHash("steps: 10\n"));
}

TEST(RunDirectoryTest, TellsTheLastStartsNetwork) {
  InMemoryFileSystem disk;
  RunDirectoryOptions options = Sample();
  options.path = "/r";
  ASSERT_TRUE(RunDirectory::Create(disk, options).ok());
  const auto run = RunDirectory::Create(disk, options);
  ASSERT_TRUE(run.ok()) << run.status();
  RunNetwork network;
  network.topology = "2 ranks on 1 node: alpha {0, 1}";
  network.piece_bytes = {1024.0, 4096.0};
  network.links = {{"self", true, 1e-6, {1e-9, 2e-9}}, {"node", false, 2e-6, {3e-9, 3e-9}}};
  ASSERT_TRUE(run->WriteNetwork(network).ok());
  const json starts = json::parse(Read(disk, "/r/run.json"))["starts"];
  ASSERT_EQ(starts.size(), 2u);
  EXPECT_FALSE(starts[0].contains("links"));
  EXPECT_EQ(starts[1]["config_hash"], starts[0]["config_hash"]);
  EXPECT_EQ(starts[1]["topology"], network.topology);
  EXPECT_EQ(starts[1]["link_piece_bytes"], (json{1024.0, 4096.0}));
  EXPECT_EQ(starts[1]["links"]["self"]["from"], "measured");
  EXPECT_EQ(starts[1]["links"]["self"]["seconds_per_byte"], (json{1e-9, 2e-9}));
  EXPECT_EQ(starts[1]["links"]["node"]["from"], "configuration");
  EXPECT_EQ(starts[1]["links"]["node"]["latency"], 2e-6);
  EXPECT_EQ(RunDirectory::Attach(disk, "/none").WriteNetwork(network).code(),
            absl::StatusCode::kNotFound);
}

TEST(RunDirectoryTest, KeepsTheLastConfigurationAndEveryStart) {
  InMemoryFileSystem disk;
  RunDirectoryOptions options = Sample();
  options.path = "/r";
  ASSERT_TRUE(RunDirectory::Create(disk, options).ok());
  options.config_text = "steps: 20\n";
  ASSERT_TRUE(RunDirectory::Create(disk, options).ok());
  EXPECT_EQ(Read(disk, "/r/config.textproto"), "steps: 20\n");
  const json starts = json::parse(Read(disk, "/r/run.json"))["starts"];
  ASSERT_EQ(starts.size(), 2U) << "one for each start";
  EXPECT_EQ(starts[0]["config_hash"], ConfigHash("steps: 10\n"));
  EXPECT_EQ(starts[1]["config_hash"], ConfigHash("steps: 20\n"));
}

TEST(RunDirectoryTest, ADirectoryOfANewerProgramIsLeftAlone) {
  InMemoryFileSystem disk;
  RunDirectoryOptions options = Sample();
  options.path = "/r";
  ASSERT_TRUE(RunDirectory::Create(disk, options).ok());
  const std::string newer = R"({"format": 2, "starts": {"another": "shape"}})";
  ASSERT_TRUE(WriteFileAtomically(disk, "/r/run.json", newer).ok());
  options.config_text = "steps: 20\n";
  const absl::Status status = RunDirectory::Create(disk, options).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_EQ(status.message(),
            "the run directory '/r' has format 2, this program knows up to 1: a newer Equipoise "
            "wrote it; use that, or choose another directory");
  EXPECT_EQ(Read(disk, "/r/run.json"), newer);
  EXPECT_EQ(Read(disk, "/r/config.textproto"), "steps: 10\n");
  // Half a file, or one without a format, says nothing.
  for (const char* text : {"", "{\"format\": 2", "[]", "{\"format\": \"x\"}"}) {
    ASSERT_TRUE(WriteFileAtomically(disk, "/r/run.json", text).ok());
    EXPECT_TRUE(CheckRunDirectoryFormat(disk, "/r").ok()) << text;
  }
  EXPECT_TRUE(RunDirectory::Create(disk, options).ok());
}

TEST(RunDirectoryTest, AStartKeepsTheLastStep) {
  InMemoryFileSystem disk;
  RunDirectoryOptions options = Sample();
  options.path = "/r";
  const auto run = RunDirectory::Create(disk, options);
  ASSERT_TRUE(run.ok());
  EXPECT_EQ(run->last_step(), 0);
  ASSERT_TRUE(run->WriteStatus({RunState::kFinished, "", 12}).ok());
  const auto again = RunDirectory::Create(disk, options);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->last_step(), 12);
  EXPECT_EQ(json::parse(Read(disk, "/r/STATUS.json"))["state"], "running");
  for (const char* text : {"", "{\"step\": ", "[]", "{\"step\": \"x\"}"}) {
    ASSERT_TRUE(WriteFileAtomically(disk, "/r/STATUS.json", text).ok());
    EXPECT_EQ(again->last_step(), 0) << text;
  }
}

TEST(RunDirectoryTest, StatusIsReplaced) {
  InMemoryFileSystem disk;
  RunDirectoryOptions options = Sample();
  options.path = "/r";
  const auto run = RunDirectory::Create(disk, options);
  ASSERT_TRUE(run.ok());
  EXPECT_EQ(json::parse(Read(disk, "/r/STATUS.json"))["state"], "running");
  ASSERT_TRUE(run->WriteStatus({RunState::kFailed, "a \"quoted\" reason", 12}).ok());
  const json status = json::parse(Read(disk, "/r/STATUS.json"));
  EXPECT_EQ(status["state"], "failed");
  EXPECT_EQ(status["reason"], "a \"quoted\" reason");
  EXPECT_EQ(status["step"], 12);
  EXPECT_THAT(status["time"].get<std::string>(), MatchesRegex("[0-9-]{10}T[0-9:]{8}Z"));
  disk.FailOperations(disk.num_operations());
  EXPECT_FALSE(run->WriteStatus({RunState::kFinished, "", 13}).ok());
  EXPECT_EQ(json::parse(Read(disk, "/r/STATUS.json"))["state"], "failed");
}

TEST(RunDirectoryTest, AFullDiskIsReportedWhereverItHappens) {
  for (int64_t k = 0;; ++k) {
    InMemoryFileSystem disk;
    RunDirectoryOptions options = Sample();
    options.path = "/r";
    disk.FailOperations(k);
    const absl::Status status = RunDirectory::Create(disk, options).status();
    if (status.ok()) {
      EXPECT_GT(k, 10);
      break;
    }
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << k;
    EXPECT_THAT(std::string(status.message()), HasSubstr("--run_dir"));
  }
}

// On the machine's own disk, where not even root can make a directory inside a file.
TEST(RunDirectoryTest, AnUnwritablePlaceSaysWhatWhereWhyAndWhatToDo) {
  const auto disk = NewPosixFileSystem();
  const std::string file = JoinPath(::testing::TempDir(), "file-" + RandomHex(8));
  ASSERT_TRUE(WriteSyncedFile(*disk, file, "x").ok());
  for (const std::string& path : {file, JoinPath(file, "run"), std::string("/proc/run")}) {
    RunDirectoryOptions options = Sample();
    options.path = path;
    const absl::Status status = RunDirectory::Create(*disk, options).status();
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("the run directory '" + path + "' cannot be used: cannot create "));
    EXPECT_THAT(std::string(status.message()),
                HasSubstr(path == "/proc/run" ? "No such file or directory" : "Not a directory"));
    EXPECT_THAT(std::string(status.message()), HasSubstr("choose another with --run_dir"));
  }
  EXPECT_TRUE(disk->RemoveAll(file).ok());
}

TEST(RunDirectoryTest, LogsAppendOneFileARank) {
  const auto disk = NewPosixFileSystem();
  RunDirectoryOptions options = Sample();
  options.path = JoinPath(::testing::TempDir(), "run-" + RandomHex(8));
  ASSERT_TRUE(RunDirectory::Create(*disk, options).ok());
  const RunDirectory run = RunDirectory::Attach(*disk, options.path);
  for (const char* text : {"first", "second"}) {
    auto logger = run.OpenLog(3, static_cast<LogLevel>(3));
    ASSERT_TRUE(logger.ok()) << logger.status();
    (*logger)->Info(text);
  }
  const std::string log = Read(*disk, run.log_path(3));
  EXPECT_THAT(log, HasSubstr("rank 3 | first"));
  EXPECT_THAT(log, HasSubstr("rank 3 | second"));
  ASSERT_TRUE(disk->RemoveAll(options.path).ok());
  EXPECT_THAT(std::string(run.OpenLog(3, LogLevel::kError).status().message()),
              HasSubstr("rank00003.log': No such file"));
}

TEST(RecordedVariableTest, OnlyLaunchersAndRuntimesAndNoSecrets) {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_JOB_ID", "NCCL_DEBUG",
                           "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"}) {
    EXPECT_TRUE(IsRecordedVariable(name)) << name;
  }
  for (const char* name : {"HOME", "XOMP_A", "SLURM_JWT_TOKEN", "OMPI_secret", "PMIX_key"}) {
    EXPECT_FALSE(IsRecordedVariable(name)) << name;
  }
  EXPECT_FALSE(CurrentEnvironment().empty());
}

}  // namespace
}  // namespace equipoise
