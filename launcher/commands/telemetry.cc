#include "launcher/commands/telemetry.h"

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/io/file_system.h"
#include "core/telemetry/router_log_reader.h"
#include "core/telemetry/router_log_text.h"
#include "core/telemetry/run_directory.h"
#include "launcher/commands/exit_code.h"
#include "launcher/commands/flags.h"
#include "launcher/config/suggest.h"
#include "launcher/report/run_history.h"

ABSL_FLAG(std::string, format, "csv",
          "csv: a line for each step, layer and array; jsonl: a line\n"
          "for each step.");
ABSL_FLAG(int64_t, from, 0, "The first step.");
ABSL_FLAG(int64_t, to, std::numeric_limits<int64_t>::max(), "The last step.");

namespace equipoise::launcher {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;

std::vector<FlagUse> DumpFlags() {
  return {{"format", "csv|jsonl"}, {"from", "STEP"}, {"to", "STEP"}};
}

// Writes to stdout in large pieces; a reader who has seen enough (`| head`) is no error.
class Output {
 public:
  std::string& buffer() { return buffer_; }
  absl::Status FlushIfFull() { return buffer_.size() < kBufferBytes ? absl::OkStatus() : Flush(); }
  absl::Status Flush() {
    const bool ok = std::fwrite(buffer_.data(), 1, buffer_.size(), stdout) == buffer_.size() &&
                    std::fflush(stdout) == 0;
    buffer_.clear();
    if (ok) return absl::OkStatus();
    if (errno == EPIPE) return absl::CancelledError();
    return absl::ErrnoToStatus(errno, "cannot write to the standard output");
  }

 private:
  std::string buffer_;
};

// The steps that were asked for.
struct StepRange {
  int64_t from = 0;
  int64_t to = 0;
};

absl::StatusOr<StepRange> AskedRange() {
  const StepRange range = {absl::GetFlag(FLAGS_from), absl::GetFlag(FLAGS_to)};
  if (range.from <= range.to) return range;
  return absl::InvalidArgumentError(absl::StrCat("--from=", range.from, " --to=", range.to,
                                                 " asks for no step: --from is the first one, ",
                                                 "--to the last"));
}

// How many records there were.
absl::StatusOr<int64_t> Write(RouterLogReader& reader, const StepRange& range,
                              void (*append)(const RouterRecord&, std::string&)) {
  Output output;
  RouterRecord record;
  int64_t count = 0;
  if (range.from > 0) reader.SeekStep(range.from);
  reader.StopAfter(range.to);
  for (; reader.Next(record); ++count) {
    append(record, output.buffer());
    EQ_RETURN_IF_ERROR(output.FlushIfFull());
  }
  EQ_RETURN_IF_ERROR(output.Flush());
  return count;
}

// Why nothing was printed.
absl::Status ExplainNothing(const FileSystem& files, const std::string& directory) {
  const std::string path = JoinPath(directory, kRouterLogName);
  EQ_ASSIGN_OR_RETURN(RouterLogReader reader, RouterLogReader::Open(files, directory));
  RouterRecord record;
  if (!reader.Next(record)) {
    const std::string missing = reader.gaps().Describe();
    return absl::NotFoundError(
        missing.empty() ? absl::StrCat("there is no record in '", path,
                                       "' yet: the run has not finished a step, or has no MoE "
                                       "layers")
                        : absl::StrCat("nothing is left of '", path, "': ", missing,
                                       "; the run's counts are in metrics.jsonl, too"));
  }
  const int64_t first = record.step;
  while (reader.Next(record)) {
  }
  return absl::NotFoundError(absl::StrCat("there is no record of the steps that --from and --to ",
                                          "name in '", path, "', which has steps ", first, " to ",
                                          record.step));
}

// Why a run with metrics has no router.bin, as far as its configuration tells.
std::string ExplainMissing(const FileSystem& files, const std::string& directory) {
  const auto config = files.Map(JoinPath(directory, kResolvedConfigFile));
  const std::map<std::string, std::string> fields =
      FlattenConfig(config.ok() ? std::string((*config)->text()) : std::string());
  const auto setting = fields.find("telemetry.router_log");
  constexpr char kElsewhere[] = "; its counts are in metrics.jsonl, too";
  if (setting == fields.end()) {
    return absl::StrCat("it is gone, or the run was made with telemetry.router_log: false (its ",
                        kResolvedConfigFile, " does not say)", kElsewhere);
  }
  return absl::StrCat(setting->second == "false"
                          ? "the run was made with telemetry.router_log: false"
                          : "it is gone, as the run was made with telemetry.router_log: true",
                      kElsewhere);
}

absl::StatusOr<RouterLogReader> OpenLog(const FileSystem& files, const std::string& directory) {
  absl::StatusOr<RouterLogReader> reader = RouterLogReader::Open(files, directory);
  if (!absl::IsNotFound(reader.status())) return reader;
  return absl::NotFoundError(absl::StrCat("there is no ", kRouterLogName, " in '", directory, "': ",
                                          files.Exists(JoinPath(directory, "metrics.jsonl"))
                                              ? ExplainMissing(files, directory)
                                              : "name the directory of a run with MoE layers"));
}

absl::Status Dump(const std::vector<std::string>& arguments) {
  std::vector<std::string> operands;
  EQ_RETURN_IF_ERROR(ParseFlags({arguments.begin() + 1, arguments.end()}, DumpFlags(), &operands));
  if (operands.size() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("equipoise telemetry dump needs one run directory, not ", operands.size()));
  }
  const std::string format = absl::GetFlag(FLAGS_format);
  if (format != "csv" && format != "jsonl") {
    return absl::InvalidArgumentError(
        absl::StrCat("--format is '", format, "', but must be csv or jsonl"));
  }
  EQ_ASSIGN_OR_RETURN(const StepRange range, AskedRange());
  const std::unique_ptr<FileSystem> files = NewPosixFileSystem();
  EQ_RETURN_IF_ERROR(CheckRunDirectoryFormat(*files, operands[0]));
  EQ_ASSIGN_OR_RETURN(RouterLogReader reader, OpenLog(*files, operands[0]));
  const absl::StatusOr<int64_t> count =
      Write(reader, range, format == "csv" ? AppendCsv : AppendJson);
  if (absl::IsCancelled(count.status())) return absl::OkStatus();
  EQ_RETURN_IF_ERROR(count.status());
  if (*count == 0) return ExplainNothing(*files, operands[0]);
  if (!reader.gaps().empty()) {
    std::fprintf(stderr, "%s: %s\n", kRouterLogName, reader.gaps().Describe().c_str());
  }
  return absl::OkStatus();
}

absl::Status Dispatch(const std::vector<std::string>& arguments) {
  if (arguments.empty()) return absl::InvalidArgumentError("equipoise telemetry: dump?");
  if (arguments[0] == "dump") return WithExitCode(Dump(arguments), ExitCode::kConfig);
  return absl::InvalidArgumentError(absl::StrCat("equipoise telemetry has no '", arguments[0], "'",
                                                 DidYouMean(arguments[0], {"dump"})));
}

}  // namespace

std::string TelemetryHelp() {
  return absl::StrCat(
      "Usage: equipoise telemetry dump RUN_DIR [--flag=value]...\n\n"
      "Prints router.bin, a run's record of which expert got how many tokens, as text. What is\n"
      "damaged, cut off or missing is told on the standard error. A CSV line is\n"
      "step,layer,ARRAY,VALUE,VALUE,... with ARRAY counts (by expert), rank_loads (by rank),\n"
      "gate_bins (copies by gate) or token_copies (tokens by number of copies); and\n"
      "step,,node_bytes,VALUE,... (from node to node, row by row, of all layers).\n\nFlags:\n",
      DescribeFlags(DumpFlags()),
      "\nExamples:\n"
      "  equipoise telemetry dump runs/mine > load.csv\n"
      "  equipoise telemetry dump runs/mine --format jsonl --from 900 --to 1000\n");
}

int RunTelemetryCommand(const Invocation& invocation) {
  if (invocation.launch.rank != 0) return static_cast<int>(ExitCode::kDone);
  const absl::Status status = Dispatch(invocation.arguments);
  if (status.ok()) return static_cast<int>(ExitCode::kDone);
  return FailJob(invocation.launch,
                 absl::StrCat(status.message(), "\nequipoise telemetry --help says more."),
                 ExitCodeOf(status));
}

}  // namespace equipoise::launcher
