#include "launcher/report/run_files.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/status_macros.h"
#include "core/telemetry/event_log.h"
#include "core/telemetry/run_directory.h"
#include "launcher/report/liveness.h"

namespace equipoise::launcher {
namespace {

using Json = nlohmann::ordered_json;

// Empty if the file cannot be read.
std::string TextOf(const FileSystem& files, const std::string& path) {
  const auto view = files.Map(path);
  return view.ok() ? std::string((*view)->text()) : std::string();
}

// null for a text that is no JSON, such as the first half of one.
Json ParseJson(const std::string& text) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  return json.is_discarded() ? Json() : json;
}

std::string StringAt(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// "node1 (4 ranks), node2 (4 ranks)"
std::string DescribeHosts(const Json& hosts) {
  std::vector<std::pair<std::string, int>> counts;
  for (const Json& host : hosts) {
    const std::string name = host.is_string() ? host.get<std::string>() : "?";
    if (counts.empty() || counts.back().first != name) counts.emplace_back(name, 0);
    ++counts.back().second;
  }
  std::vector<std::string> texts;
  for (const auto& [name, count] : counts) {
    texts.push_back(absl::StrCat(name, " (", count, count == 1 ? " rank)" : " ranks)"));
  }
  return absl::StrJoin(texts, ", ");
}

// The strings of an object of `start`, appended to `texts`.
void AddTexts(const Json& start, const char* object, NamedTexts& texts) {
  if (!start.contains(object) || !start[object].is_object()) return;
  for (const auto& [name, value] : start[object].items()) {
    texts.emplace_back(name, value.is_string() ? value.get<std::string>() : value.dump());
  }
}

std::string FirstHost(const Json& start) {
  const auto hosts = start.find("hosts");
  const bool known = hosts != start.end() && hosts->is_array() && !hosts->empty();
  return known && hosts->front().is_string() ? hosts->front().get<std::string>() : std::string();
}

HistoryStart DescribeStart(const Json& start) {
  HistoryStart result;
  result.first_host = FirstHost(start);
  NamedTexts& texts = result.facts;
  texts.emplace_back("started", StringAt(start, "start_time"));
  if (start.contains("hosts") && start["hosts"].is_array()) {
    texts.emplace_back("hosts", DescribeHosts(start["hosts"]));
  }
  const std::string topology = StringAt(start, "topology");
  if (!topology.empty()) texts.emplace_back("topology", topology);
  if (start.contains("command_line") && start["command_line"].is_array()) {
    std::vector<std::string> words;
    for (const Json& word : start["command_line"]) {
      if (word.is_string()) words.push_back(word.get<std::string>());
    }
    texts.emplace_back("command", absl::StrJoin(words, " "));
  }
  texts.emplace_back("configuration's hash", StringAt(start, "config_hash"));
  AddTexts(start, "versions", texts);
  AddTexts(start, "environment", result.environment);
  return result;
}

void ReadStarts(const FileSystem& files, RunHistory& run) {
  const Json json = ParseJson(TextOf(files, JoinPath(run.path, "run.json")));
  if (!json.is_object() || !json.contains("starts") || !json["starts"].is_array()) return;
  for (const Json& start : json["starts"]) {
    if (start.is_object()) run.starts.push_back(DescribeStart(start));
  }
}

// After ReadStarts.
void ReadStatus(const FileSystem& files, RunHistory& run) {
  const Json status = ParseJson(TextOf(files, JoinPath(run.path, kRunStatusFile)));
  if (!status.is_object()) {
    run.damage.push_back("STATUS.json is missing or damaged: how the run stands is not known");
    return;
  }
  run.state = StringAt(status, "state");
  if (status.contains("step") && status["step"].is_number_integer()) {
    run.status_step = status["step"];
  }
  run.reason = StringAt(status, "reason");
  if (run.state != "running") return;
  // A job that is killed leaves STATUS.json as it was, but not its lock.
  const Liveness life =
      JudgeLiveness(run.path, run.starts.empty() ? "" : run.starts.back().first_host);
  run.silence = life.silence.value_or(absl::ZeroDuration());
  run.reason = life.doubt;
  if (!life.is_gone) return;
  run.state = "interrupted";
  run.reason = absl::StrCat("its job is gone: it was killed, or its machine is; the same command ",
                            "with --run_dir ", run.path, " goes on",
                            life.doubt.empty() ? "" : absl::StrCat(" (", life.doubt, ")"));
}

void ReadEvents(const FileSystem& files, RunHistory& run) {
  const std::vector<std::string> lines =
      absl::StrSplit(TextOf(files, JoinPath(run.path, kEventLogName)), '\n', absl::SkipEmpty());
  int64_t num_damaged = 0;
  for (const std::string& line : lines) {
    const Json row = ParseJson(line);
    if (!row.is_object()) {
      ++num_damaged;
      continue;
    }
    HistoryEvent event = {StringAt(row, "time"), 0, StringAt(row, "event"), StringAt(row, "text")};
    if (row.contains("step") && row["step"].is_number_integer()) event.step = row["step"];
    run.events.push_back(std::move(event));
  }
  if (num_damaged == 0) return;
  run.damage.push_back(
      absl::StrCat(num_damaged, num_damaged == 1 ? " line of " : " lines of ", kEventLogName,
                   num_damaged == 1 ? " is damaged or unfinished" : " are damaged or unfinished"));
}

}  // namespace

absl::Status CheckIsRun(const FileSystem& files, const std::string& path) {
  if (!files.Exists(path)) {
    return absl::NotFoundError(absl::StrCat("there is nothing at '", path,
                                            "': name the directory of a run, as `equipoise train` "
                                            "prints it"));
  }
  const absl::Status listed = files.List(path).status();
  if (!listed.ok()) {
    return absl::Status(
        listed.code(),
        absl::StrCat("'", path, "' cannot be read as the directory of a run: ", listed.message()));
  }
  EQ_RETURN_IF_ERROR(CheckRunDirectoryFormat(files, path));
  for (const char* name : {"metrics.jsonl", "run.json", "STATUS.json"}) {
    if (files.Exists(JoinPath(path, name))) return absl::OkStatus();
  }
  return absl::NotFoundError(
      absl::StrCat("'", path, "' is no run directory: it has no metrics.jsonl, run.json or ",
                   "STATUS.json; name the directory of a run, as `equipoise train` prints it"));
}

absl::Status ReadRunFiles(const FileSystem& files, RunHistory& run) {
  EQ_RETURN_IF_ERROR(CheckIsRun(files, run.path));
  std::string path = run.path;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  run.name = BaseNameOf(path);
  ReadStarts(files, run);
  ReadStatus(files, run);
  ReadEvents(files, run);
  run.config_text = TextOf(files, JoinPath(run.path, kResolvedConfigFile));
  run.config = FlattenConfig(run.config_text);
  return absl::OkStatus();
}

}  // namespace equipoise::launcher
