// The script for Slurm, read by the shell that would run it.

#include "launcher/sweep/slurm_script.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"

namespace equipoise::launcher {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string WriteScript(const std::string& text) {
  const std::string path = testing::TempDir() + "sweep.sbatch";
  std::ofstream(path) << text;
  return path;
}

// What a command prints.
std::string OutputOf(const std::string& command) {
  std::FILE* pipe = popen(command.c_str(), "r");
  std::string text;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe))
    text.push_back(static_cast<char>(c));
  EXPECT_EQ(pclose(pipe), 0) << command;
  return text;
}

SweepSpec Spec() {
  SweepSpec spec;
  spec.name = "it's a sweep";
  spec.trial.ranks = 4;
  spec.trial.retries = 1;
  return spec;
}

SlurmRequest Request() {
  SlurmRequest request;
  request.program = "/bin/echo";
  request.sweep_file = "a sweep's file";
  request.overrides = {"data.root=/my data"};
  request.out = "/tmp/out";
  request.folder = "/tmp";
  request.trials = {"aa", "bb", "cc"};
  request.jobs = 2;
  return request;
}

TEST(SlurmScript, IsAnArrayWithATaskForEachTrial) {
  const std::string script = SlurmScript(Spec(), Request());
  EXPECT_THAT(script, testing::StartsWith("#!/usr/bin/env bash\n"));
  EXPECT_THAT(script, HasSubstr("\n#SBATCH --job-name=equipoise-it-s-a-sweep\n"));
  EXPECT_THAT(script, HasSubstr("\n#SBATCH --array=0-2%2\n"));
  EXPECT_THAT(script, HasSubstr("\n#SBATCH --ntasks=4\n"));
  EXPECT_THAT(script, HasSubstr("\n#SBATCH --output=/tmp/out/slurm-%A_%a.log\n"));
  EXPECT_THAT(script, Not(HasSubstr("--time")));
}

TEST(SlurmScript, AllowsForEveryAttempt) {
  SweepSpec spec = Spec();
  spec.trial.max_minutes = 30;
  EXPECT_THAT(SlurmScript(spec, Request()), HasSubstr("\n#SBATCH --time=70\n"));
}

TEST(SlurmScript, TheShellReadsItAsMeant) {
  const std::string path = WriteScript(SlurmScript(Spec(), Request()));
  EXPECT_EQ(std::system(absl::StrCat("bash -n ", path).c_str()), 0);
  EXPECT_EQ(OutputOf(absl::StrCat("SLURM_ARRAY_TASK_ID=1 bash ", path)),
            "sweep run a sweep's file --out /tmp/out --set=data.root=/my data --trial bb\n");
}

TEST(SlurmScript, WithoutATaskItFails) {
  const std::string path = WriteScript(SlurmScript(Spec(), Request()));
  EXPECT_NE(std::system(absl::StrCat("bash ", path, " 2>/dev/null").c_str()), 0);
}

}  // namespace
}  // namespace equipoise::launcher
