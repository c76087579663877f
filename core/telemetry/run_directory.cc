#include "core/telemetry/run_directory.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "core/base/status_macros.h"
#include "core/io/atomic_file.h"
#include "core/io/hash.h"
#include "core/telemetry/append_file.h"

namespace equipoise {
namespace {

using Json = nlohmann::ordered_json;

std::string FormatUtc(absl::Time time, const char* format) {
  return absl::FormatTime(format, time, absl::UTCTimeZone());
}

std::string Dump(const Json& json) {
  // Command lines and host names may hold any bytes.
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string DefaultPath(const FileSystem& file_system, const RunDirectoryOptions& options) {
  const std::string base =
      JoinPath(options.runs, absl::StrCat(options.config_name, "-",
                                          FormatUtc(options.start_time, "%Y%m%d-%H%M%S"), "-",
                                          ConfigHash(options.config_text).substr(0, 4)));
  std::string path = base;
  // Two runs of one configuration in one second.
  for (int i = 2; file_system.Exists(path); ++i) path = absl::StrCat(base, "-", i);
  return path;
}

// What is known of this start of the run.
Json DescribeStart(const RunDirectoryOptions& options) {
  Json environment = Json::object();
  for (const std::string& variable : options.environment) {
    const size_t equals = variable.find('=');
    if (equals == std::string::npos) continue;
    const std::string name = variable.substr(0, equals);
    if (IsRecordedVariable(name)) environment[name] = variable.substr(equals + 1);
  }
  Json start;
  start["start_time"] = FormatUtc(options.start_time, "%Y-%m-%dT%H:%M:%SZ");
  start["config_hash"] = ConfigHash(options.config_text);
  start["command_line"] = options.command_line;
  start["environment"] = std::move(environment);
  start["versions"] = options.versions;
  start["hosts"] = options.hosts;
  return start;
}

// The file's object; an empty one if it is not there, or is only half of one.
Json ReadObject(const FileSystem& file_system, const std::string& path) {
  const auto view = file_system.Map(path);
  if (!view.ok()) return Json::object();
  const std::string_view text = (*view)->text();
  Json object = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  return object.is_object() ? object : Json::object();
}

Json ReadRunJson(const FileSystem& file_system, const std::string& directory) {
  return ReadObject(file_system, JoinPath(directory, kRunRecordFile));
}

// run.json keeps every start of a run.
Json ReadStarts(const FileSystem& file_system, const std::string& directory) {
  const Json old = ReadRunJson(file_system, directory);
  return old.contains("starts") && old["starts"].is_array() ? old["starts"] : Json::array();
}

absl::Status WriteAll(FileSystem& file_system, const std::string& path,
                      const RunDirectoryOptions& options) {
  EQ_RETURN_IF_ERROR(file_system.CreateDirectories(JoinPath(path, "log")));
  EQ_RETURN_IF_ERROR(file_system.SyncDirectory(DirectoryOf(path)));
  std::string overrides;
  for (const std::string& line : options.overrides) absl::StrAppend(&overrides, line, "\n");
  EQ_RETURN_IF_ERROR(WriteFileAtomically(file_system, JoinPath(path, "overrides.txt"), overrides));
  const std::string run_path = JoinPath(path, kRunRecordFile);
  if (ReadRunRecord(file_system, path).state == RunRecord::State::kDamaged) {
    EQ_RETURN_IF_ERROR(SetAside(file_system, run_path).status());
  }
  Json run;
  run["format"] = kRunDirectoryFormat;
  run["starts"] = ReadStarts(file_system, path);
  run["starts"].push_back(DescribeStart(options));
  // Before the configuration, which is told from half of one by the hashes here.
  EQ_RETURN_IF_ERROR(WriteFileAtomically(file_system, run_path, Dump(run)));
  return WriteFileAtomically(file_system, JoinPath(path, kResolvedConfigFile), options.config_text);
}

}  // namespace

RunRecord ReadRunRecord(const FileSystem& file_system, const std::string& path) {
  const std::string file = JoinPath(path, kRunRecordFile);
  if (!file_system.Exists(file)) return {RunRecord::State::kMissing};
  const absl::StatusOr<uint64_t> size = file_system.FileSize(file);
  if (size.ok() && *size == 0) return {RunRecord::State::kEmpty};
  const Json run = ReadRunJson(file_system, path);
  const auto starts = run.find("starts");
  if (starts == run.end() || !starts->is_array()) return {RunRecord::State::kDamaged};
  RunRecord record = {RunRecord::State::kWhole};
  for (const Json& start : *starts) {
    if (!start.is_object()) continue;
    const auto hash = start.find("config_hash");
    if (hash != start.end() && hash->is_string()) {
      record.config_hashes.push_back(hash->get<std::string>());
    }
  }
  return record;
}

absl::Status CheckRunDirectoryFormat(const FileSystem& file_system, const std::string& path) {
  const Json run = ReadRunJson(file_system, path);
  const auto format = run.find("format");
  if (format == run.end() || !format->is_number_integer() || *format <= kRunDirectoryFormat) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat("the run directory '", path, "' has format ", format->get<int64_t>(),
                   ", this program knows up to ", kRunDirectoryFormat,
                   ": a newer Equipoise wrote it; use that, or choose another directory"));
}

absl::Status UnusableRunDirectory(const std::string& path, const absl::Status& status) {
  return absl::Status(
      status.code(),
      absl::StrCat("the run directory '", path, "' cannot be used: ", status.message(),
                   "; make it writable, free space, or choose another with --run_dir"));
}

std::string ConfigHash(const std::string& config_text) {
  return HashToHex(Xxh3(std::string_view(config_text)));
}

bool IsRecordedVariable(const std::string& name) {
  for (const char* secret : {"KEY", "TOKEN", "SECRET", "PASSW", "CREDENTIAL", "COOKIE"}) {
    if (absl::StrContains(absl::AsciiStrToUpper(name), secret)) return false;
  }
  for (const char* prefix : {"OMPI_", "PMIX_", "SLURM_", "NCCL_", "CUDA_", "OMP_"}) {
    if (absl::StartsWith(name, prefix)) return true;
  }
  return false;
}

std::vector<std::string> CurrentEnvironment() {
  std::vector<std::string> variables;
  for (char** variable = ::environ; variable != nullptr && *variable != nullptr; ++variable) {
    variables.emplace_back(*variable);
  }
  return variables;
}

absl::StatusOr<RunDirectory> RunDirectory::Create(FileSystem& file_system,
                                                  const RunDirectoryOptions& options) {
  const std::string path = options.path.empty() ? DefaultPath(file_system, options) : options.path;
  EQ_RETURN_IF_ERROR(CheckRunDirectoryFormat(file_system, path));
  const RunDirectory directory(file_system, path);
  EQ_RETURN_IF_ERROR(directory.Begin(options));
  return directory;
}

absl::Status RunDirectory::Begin(const RunDirectoryOptions& options) const {
  absl::Status status = WriteAll(*file_system_, path_, options);
  if (status.ok()) status = WriteStatus({RunState::kRunning, "", last_step()});
  return status.ok() ? status : UnusableRunDirectory(path_, status);
}

RunDirectory RunDirectory::Attach(FileSystem& file_system, std::string path) {
  return RunDirectory(file_system, std::move(path));
}

std::string RunDirectory::log_path(int rank) const {
  return JoinPath(path_, absl::StrFormat("log/rank%05d.log", rank));
}

absl::StatusOr<std::unique_ptr<Logger>> RunDirectory::OpenLog(int rank,
                                                              LogLevel console_level) const {
  const std::string path = log_path(rank);
  std::FILE* file = std::fopen(path.c_str(), "ae");
  if (file == nullptr) {
    return UnusableRunDirectory(
        path_, absl::ErrnoToStatus(errno, absl::StrCat("cannot open '", path, "'")));
  }
  return std::make_unique<Logger>(rank, file, console_level);
}

int64_t RunDirectory::last_step() const {
  const Json status = ReadObject(*file_system_, JoinPath(path_, kRunStatusFile));
  const auto step = status.find("step");
  return step != status.end() && step->is_number_integer() ? step->get<int64_t>() : 0;
}

absl::Status RunDirectory::WriteNetwork(const RunNetwork& network) const {
  Json run = ReadRunJson(*file_system_, path_);
  Json starts = ReadStarts(*file_system_, path_);
  if (starts.empty() || !starts.back().is_object()) {
    return absl::NotFoundError(absl::StrCat(kRunRecordFile, " has no start to tell the links of"));
  }
  Json& start = starts.back();
  start["topology"] = network.topology;
  Json links = Json::object();
  for (const RunNetwork::Link& link : network.links) {
    links[link.name] = {{"from", link.measured ? "measured" : "configuration"},
                        {"latency", link.latency},
                        {"seconds_per_byte", link.seconds_per_byte}};
  }
  start["link_piece_bytes"] = network.piece_bytes;
  start["links"] = std::move(links);
  run["starts"] = std::move(starts);
  return WriteFileAtomically(*file_system_, JoinPath(path_, kRunRecordFile), Dump(run));
}

absl::Status RunDirectory::WriteStatus(const RunStatus& status) const {
  constexpr const char* kStates[] = {"running", "finished", "failed", "stopped"};
  Json json;
  json["state"] = kStates[static_cast<size_t>(status.state)];
  json["reason"] = status.reason;
  json["step"] = status.step;
  json["time"] = FormatUtc(absl::Now(), "%Y-%m-%dT%H:%M:%SZ");
  return WriteFileAtomically(*file_system_, JoinPath(path_, kRunStatusFile), Dump(json));
}

}  // namespace equipoise
