#include "launcher/commands/report.h"

#include <cstdio>
#include <memory>
#include <vector>

#include "absl/flags/declare.h"
#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/io/atomic_file.h"
#include "core/io/file_system.h"
#include "launcher/commands/exit_code.h"
#include "launcher/commands/flags.h"
#include "launcher/report/report.h"

ABSL_FLAG(std::string, o, "", "The page to write. Default: report.html in the first directory.");
ABSL_DECLARE_FLAG(int, window);  // launcher/commands/sweep.cc

namespace equipoise::launcher {
namespace {

std::vector<FlagUse> FlagUses() { return {{"o", "FILE"}, {"window", "STEPS"}}; }

absl::Status WriteReport(const std::vector<std::string>& arguments) {
  std::vector<std::string> paths;
  EQ_RETURN_IF_ERROR(ParseFlags(arguments, FlagUses(), &paths));
  if (paths.empty()) {
    return absl::InvalidArgumentError(
        "equipoise report needs the directory of a run or of a sweep, or several");
  }
  const int window = absl::GetFlag(FLAGS_window);
  if (window < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("--window is ", window, ", but must be at least 1"));
  }
  EQ_ASSIGN_OR_RETURN(const std::string page, MakeReport(paths, window));
  std::string out = absl::GetFlag(FLAGS_o);
  if (out.empty()) out = JoinPath(paths[0], "report.html");
  const std::unique_ptr<FileSystem> files = NewPosixFileSystem();
  const absl::Status written = WriteFileAtomically(*files, out, page);
  if (!written.ok()) {
    return absl::Status(written.code(), absl::StrCat(written.message(),
                                                     "; name another place for the page with -o"));
  }
  std::printf("report: %s\n", out.c_str());
  return absl::OkStatus();
}

}  // namespace

std::string ReportHelp() {
  return absl::StrCat(
      "Usage: equipoise report DIRECTORY... [-o FILE] [--window=STEPS]\n\n"
      "Writes one HTML page that needs no network and nothing beside it: curves of loss and\n"
      "balance, load of every expert over the steps, where time and bytes went, which domain goes\n"
      "to which expert, what happened when, the configuration. Several runs are laid over one\n"
      "another; a sweep gets its table and Pareto plots. Runs may still be going on.\n\nFlags:\n",
      DescribeFlags(FlagUses()),
      "\nExamples:\n"
      "  equipoise report runs/mine\n"
      "  equipoise report runs/mine runs/other -o comparison.html\n"
      "  equipoise report runs/coefficients -o sweep.html\n");
}

int RunReportCommand(const Invocation& invocation) {
  if (invocation.launch.rank != 0) return static_cast<int>(ExitCode::kDone);
  const absl::Status status = WithExitCode(WriteReport(invocation.arguments), ExitCode::kConfig);
  if (status.ok()) return static_cast<int>(ExitCode::kDone);
  return FailJob(invocation.launch,
                 absl::StrCat(status.message(), "\nequipoise report --help says more."),
                 ExitCodeOf(status));
}

}  // namespace equipoise::launcher
