#include "launcher/commands/report.h"

#include <cstdio>
#include <filesystem>
#include <memory>
#include <system_error>
#include <vector>

#include "absl/flags/declare.h"
#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/io/atomic_file.h"
#include "core/io/file_system.h"
#include "launcher/commands/exit_code.h"
#include "launcher/commands/flags.h"
#include "launcher/report/page.h"
#include "launcher/report/report.h"

ABSL_FLAG(std::string, o, "", "The page to write. Default: report.html in the first directory.");
ABSL_DECLARE_FLAG(int, window);  // launcher/commands/sweep.cc

namespace equipoise::launcher {
namespace {

std::vector<FlagUse> FlagUses() { return {{"o", "FILE"}, {"window", "STEPS"}}; }

absl::Status RefusePlace(const std::string& out, const std::string& why) {
  return absl::FailedPreconditionError(absl::StrCat(
      "'", out, "' ", why, ", and was not changed; name another place for the page with -o"));
}

// The page takes the place of what is at `out`: only of an earlier report or another page.
absl::Status CheckPlace(const FileSystem& files, const std::string& out) {
  std::error_code error;
  const std::filesystem::file_type type = std::filesystem::symlink_status(out, error).type();
  switch (type) {
    case std::filesystem::file_type::not_found:
    case std::filesystem::file_type::none:  // not to be seen: writing says why
      return absl::OkStatus();
    case std::filesystem::file_type::directory:
      return absl::FailedPreconditionError(
          absl::StrCat("'", out, "' is a folder; name a file for the page with -o"));
    case std::filesystem::file_type::symlink:
      return RefusePlace(out, "is a symbolic link, which the page would replace");
    case std::filesystem::file_type::regular:
      break;
    default:
      return RefusePlace(out, "is a device, a pipe or a socket, no file");
  }
  if (absl::EndsWith(out, ".html") || absl::EndsWith(out, ".htm")) return absl::OkStatus();
  const auto view = files.Map(out);
  if (view.ok() && (*view)->text().starts_with(kPageStart)) return absl::OkStatus();
  return RefusePlace(out, "is there already and is no report");
}

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
  std::string out = absl::GetFlag(FLAGS_o);
  if (out.empty()) out = JoinPath(paths[0], "report.html");
  const std::unique_ptr<FileSystem> files = NewPosixFileSystem();
  EQ_RETURN_IF_ERROR(CheckPlace(*files, out));
  EQ_ASSIGN_OR_RETURN(const std::string page, MakeReport(paths, window));
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
      "another; a sweep gets its table and Pareto plots. Runs may still be going on. The page\n"
      "takes the place of an earlier one, and of no other file.\n\nFlags:\n",
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
