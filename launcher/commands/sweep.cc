#include "launcher/commands/sweep.h"

#include <cstdio>
#include <memory>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/io/atomic_file.h"
#include "core/io/file_system.h"
#include "launcher/commands/exit_code.h"
#include "launcher/commands/flags.h"
#include "launcher/commands/sweep_run.h"
#include "launcher/commands/sweep_stop.h"
#include "launcher/config/suggest.h"
#include "launcher/sweep/report_text.h"
#include "launcher/sweep/status_table.h"
#include "launcher/sweep/sweep_report.h"
#include "launcher/sweep/trial_store.h"

ABSL_FLAG(std::string, out, "",
          "The sweep's directory. Default: runs/NAME, NAME that of the sweep.");
ABSL_FLAG(int, jobs, 1, "Trials that run at the same time on this machine. Default: 1.");
ABSL_FLAG(bool, list, false, "Print the trials and their state, and end.");
ABSL_FLAG(std::string, trial, "",
          "Run the trial with this id alone; for schedulers like Slurm, which run several of\n"
          "these at a time.");
ABSL_FLAG(bool, slurm, false,
          "Write the script of a Slurm array, a task for each trial, and submit it with sbatch.\n"
          "--jobs is the number of tasks at a time.");
ABSL_FLAG(bool, slurm_script_only, false, "Write the script, and do not submit it.");
ABSL_FLAG(int, window, 100,
          "Steps at the end of a run that balance, speed and training loss are of. Default: 100.");

namespace equipoise::launcher {
namespace {

std::vector<FlagUse> RunFlags(std::vector<std::string>* overrides) {
  return {{"out", "FOLDER"}, {"jobs", "NUMBER"}, {"set", "PATH=VALUE", overrides}, {"list", ""},
          {"trial", "ID"},   {"slurm", ""},      {"slurm_script_only", ""}};
}

std::vector<FlagUse> ReportFlags() { return {{"window", "STEPS"}}; }

// What stands behind `equipoise sweep VERB`.
struct Operands {
  std::string subject;  // a sweep file or a directory
  std::vector<std::string> flags;
};

absl::StatusOr<Operands> Split(const std::vector<std::string>& arguments, const char* subject) {
  if (arguments.size() < 2 || absl::StartsWith(arguments[1], "-")) {
    return absl::InvalidArgumentError(
        absl::StrCat("equipoise sweep ", arguments[0], " needs ", subject, " right behind it"));
  }
  return Operands{arguments[1], {arguments.begin() + 2, arguments.end()}};
}

absl::Status Run(const std::vector<std::string>& arguments) {
  EQ_ASSIGN_OR_RETURN(const Operands operands, Split(arguments, "a sweep file"));
  SweepRunRequest request;
  EQ_RETURN_IF_ERROR(ParseFlags(operands.flags, RunFlags(&request.overrides)));
  request.file = operands.subject;
  request.out = absl::GetFlag(FLAGS_out);
  request.jobs = absl::GetFlag(FLAGS_jobs);
  request.list = absl::GetFlag(FLAGS_list);
  request.trial = absl::GetFlag(FLAGS_trial);
  if (absl::GetFlag(FLAGS_slurm)) request.slurm = SweepRunRequest::Slurm::kSubmit;
  if (absl::GetFlag(FLAGS_slurm_script_only)) {
    request.slurm = SweepRunRequest::Slurm::kWriteScript;
  }
  if (request.slurm != SweepRunRequest::Slurm::kNo && !request.trial.empty()) {
    return absl::InvalidArgumentError("--trial is what a task of Slurm does: leave out --slurm");
  }
  if (request.jobs < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("--jobs is ", request.jobs, ", but must be at least 1"));
  }
  return RunSweep(request);
}

absl::Status ShowStatus(const std::vector<std::string>& arguments) {
  EQ_ASSIGN_OR_RETURN(const Operands operands, Split(arguments, "a sweep's directory"));
  EQ_RETURN_IF_ERROR(ParseFlags(operands.flags, {}));
  const std::unique_ptr<FileSystem> files = NewPosixFileSystem();
  EQ_ASSIGN_OR_RETURN(const std::string text, DescribeStatus(TrialStore(*files, operands.subject)));
  std::fputs(text.c_str(), stdout);
  return absl::OkStatus();
}

absl::Status Stop(const std::vector<std::string>& arguments) {
  EQ_ASSIGN_OR_RETURN(const Operands operands, Split(arguments, "a sweep's directory"));
  EQ_RETURN_IF_ERROR(ParseFlags(operands.flags, {}));
  return StopSweep(operands.subject);
}

absl::Status Report(const std::vector<std::string>& arguments) {
  EQ_ASSIGN_OR_RETURN(const Operands operands, Split(arguments, "a sweep's directory"));
  EQ_RETURN_IF_ERROR(ParseFlags(operands.flags, ReportFlags()));
  const int window = absl::GetFlag(FLAGS_window);
  if (window < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("--window is ", window, ", but must be at least 1"));
  }
  const std::unique_ptr<FileSystem> files = NewPosixFileSystem();
  const TrialStore store(*files, operands.subject);
  EQ_ASSIGN_OR_RETURN(const SweepReport report, MakeSweepReport(store, window));
  const std::string csv = JoinPath(store.path(), "report.csv");
  const std::string json = JoinPath(store.path(), "report.json");
  EQ_RETURN_IF_ERROR(WriteFileAtomically(*files, csv, ReportCsv(report)));
  EQ_RETURN_IF_ERROR(WriteFileAtomically(*files, json, ReportJson(report)));
  std::printf("%s\nwritten: %s, %s\n", ReportTable(report).c_str(), csv.c_str(), json.c_str());
  return absl::OkStatus();
}

struct Verb {
  const char* name;
  absl::Status (*run)(const std::vector<std::string>& arguments);
  // What a status without a code of its own means: all of these only read a directory.
  ExitCode code;
};
constexpr Verb kVerbs[] = {
    {"run", Run, ExitCode::kDone},
    {"status", ShowStatus, ExitCode::kConfig},
    {"stop", Stop, ExitCode::kConfig},
    {"report", Report, ExitCode::kConfig},
};

absl::Status Dispatch(const std::vector<std::string>& arguments) {
  std::vector<std::string> names;
  for (const Verb& verb : kVerbs) {
    names.emplace_back(verb.name);
    if (arguments.empty() || arguments[0] != verb.name) continue;
    absl::Status status = verb.run(arguments);
    if (status.ok() || verb.code == ExitCode::kDone) return status;
    return WithExitCode(std::move(status), verb.code);
  }
  if (arguments.empty())
    return absl::InvalidArgumentError("equipoise sweep: run, status, stop or report?");
  return absl::InvalidArgumentError(
      absl::StrCat("equipoise sweep has no '", arguments[0], "'", DidYouMean(arguments[0], names)));
}

}  // namespace

std::string SweepHelp() {
  std::vector<std::string> overrides;
  return absl::StrCat(
      "Usage: equipoise sweep run FILE [--flag=value]...\n"
      "       equipoise sweep status FOLDER\n"
      "       equipoise sweep stop FOLDER\n"
      "       equipoise sweep report FOLDER [--window=STEPS]\n\n"
      "Runs many trainings that differ in a few fields, as FILE says: every combination of its\n"
      "axes' points. What is finished is not run again; what was interrupted goes on from its\n"
      "checkpoint. A trial that fails does not keep the others from running. `report` prints\n"
      "means and 95 % confidence intervals over seeds and the Pareto frontier, and writes\n"
      "report.csv and report.json.\n\nFlags of run:\n",
      DescribeFlags(RunFlags(&overrides)), "Flags of report:\n", DescribeFlags(ReportFlags()),
      "\nExamples:\n"
      "  equipoise sweep run sweep.textproto --out runs/routers --jobs 2\n"
      "  equipoise sweep run sweep.textproto --list\n"
      "  equipoise sweep status runs/routers\n"
      "  equipoise sweep report runs/routers --window 200\n\n"
      "Exit codes of run: 0 all trials are finished, 1 some failed, 2 sweep file or command line,\n"
      "75 it was stopped before all were finished. docs/experiments.md says more.\n");
}

int RunSweepCommand(const Invocation& invocation) {
  if (invocation.launch.num_ranks.has_value()) {
    return FailJob(invocation.launch,
                   "equipoise sweep starts its trials itself: call it without mpirun, and set "
                   "trial.ranks in the sweep file",
                   ExitCode::kConfig);
  }
  const absl::Status status = Dispatch(invocation.arguments);
  if (status.ok()) return static_cast<int>(ExitCode::kDone);
  return FailJob(invocation.launch, std::string(status.message()), ExitCodeOf(status));
}

}  // namespace equipoise::launcher
