#include "launcher/sweep/trial_store.h"

#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/status_macros.h"
#include "core/io/atomic_file.h"
#include "core/telemetry/run_directory.h"

namespace equipoise::launcher {
namespace {

using Json = nlohmann::ordered_json;

// Of sweep.json. A reader refuses greater ones.
constexpr int kFormat = 1;

constexpr std::array<const char*, 6> kStateNames = {"waiting", "running", "finished",
                                                    "failed",  "stopped", "interrupted"};

std::string Dump(const Json& json, int indent) {
  // Labels and reasons may hold any bytes.
  return json.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string HostName() {
  char name[HOST_NAME_MAX + 1] = {};
  return gethostname(name, HOST_NAME_MAX) == 0 ? name : "";
}

// A text that is not there or cannot be read is as good as empty.
std::string ReadText(const FileSystem& files, const std::string& path) {
  if (!files.Exists(path)) return "";
  const auto view = files.Map(path);
  return view.ok() ? std::string((*view)->text()) : "";
}

Json Parse(std::string_view text) {
  return Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
}

// A member of the expected type, else `fallback`.
std::string TextOf(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

int64_t IntegerOf(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_number_integer() ? found->get<int64_t>() : 0;
}

std::optional<TrialState> StateOf(const std::string& name) {
  for (size_t i = 0; i < kStateNames.size(); ++i) {
    if (name == kStateNames[i]) return static_cast<TrialState>(i);
  }
  return std::nullopt;
}

Json PlanToJson(const SweepSpec& spec, const std::vector<Trial>& trials) {
  Json json;
  json["format"] = kFormat;
  json["name"] = spec.name;
  json["file"] = spec.path;
  json["base"] = spec.base;
  json["overrides"] = Json::array();
  for (const Change& change : spec.changes) json["overrides"].push_back(change.text);
  for (const std::string& text : spec.overrides) json["overrides"].push_back(text);
  json["ranks"] = spec.trial.ranks;
  json["axes"] = Json::array();
  for (const SweepAxis& axis : spec.axes) {
    json["axes"].push_back({{"name", axis.name}, {"seed", axis.is_seed}});
  }
  json["trials"] = Json::array();
  for (const Trial& trial : trials) {
    json["trials"].push_back({{"id", trial.id}, {"points", trial.labels}, {"steps", trial.steps}});
  }
  return json;
}

// `json` has the shape of a plan.
SweepPlan PlanFromJson(const Json& json) {
  SweepPlan plan;
  plan.name = json.at("name").get<std::string>();
  plan.file = json.at("file").get<std::string>();
  for (const Json& axis : json.at("axes")) {
    plan.axes.push_back({axis.at("name").get<std::string>(), axis.at("seed").get<bool>()});
  }
  for (const Json& trial : json.at("trials")) {
    plan.trials.push_back({trial.at("id").get<std::string>(),
                           trial.at("points").get<std::vector<std::string>>(),
                           trial.at("steps").get<int64_t>()});
  }
  return plan;
}

bool HasPlanShape(const Json& json) {
  const auto is = [](const Json& object, const char* name, auto test) {
    const auto found = object.find(name);
    return found != object.end() && test(*found);
  };
  const auto text = [](const Json& value) { return value.is_string(); };
  const auto list = [](const Json& value) { return value.is_array(); };
  if (!json.is_object() || !is(json, "name", text) || !is(json, "file", text) ||
      !is(json, "axes", list) || !is(json, "trials", list)) {
    return false;
  }
  for (const Json& axis : json["axes"]) {
    const auto flag = [](const Json& value) { return value.is_boolean(); };
    if (!axis.is_object() || !is(axis, "name", text) || !is(axis, "seed", flag)) return false;
  }
  const size_t num_axes = json["axes"].size();
  for (const Json& trial : json["trials"]) {
    const auto integer = [](const Json& value) { return value.is_number_integer(); };
    const auto labels = [&](const Json& value) {
      if (!value.is_array() || value.size() != num_axes) return false;
      return std::all_of(value.begin(), value.end(), text);
    };
    if (!trial.is_object() || !is(trial, "id", text) || !is(trial, "points", labels) ||
        !is(trial, "steps", integer)) {
      return false;
    }
  }
  return true;
}

// A process of another machine cannot be asked, and is believed to be there. One that ended and was
// not reaped (its parent is gone, and nobody took its place) is gone all the same.
bool IsAlive(int64_t pid, const std::string& host) {
  if (host != HostName()) return true;
  std::ifstream stream(absl::StrCat("/proc/", pid, "/stat"));
  std::string stat;
  // A process may end between open and read, which fails then.
  if (!std::getline(stream, stat)) return false;
  // "pid (name) state ...", where the name may hold anything.
  const size_t name_end = stat.rfind(") ");
  return name_end != std::string::npos && stat[name_end + 2] != 'Z';
}

// Takes what one line of trials.jsonl says.
void Apply(const Json& line, std::map<std::string, TrialStatus>& statuses) {
  if (!line.is_object()) return;
  const std::optional<TrialState> state = StateOf(TextOf(line, "state"));
  const std::string id = TextOf(line, "id");
  if (!state.has_value() || id.empty()) return;
  TrialStatus& status = statuses[id];
  status.state = *state;
  status.attempts = std::max(status.attempts, static_cast<int>(IntegerOf(line, "attempt")));
  status.reason = TextOf(line, "reason");
  if (*state == TrialState::kRunning) status.started = TextOf(line, "time");
  if (*state == TrialState::kRunning && !IsAlive(IntegerOf(line, "pid"), TextOf(line, "host"))) {
    status.state = TrialState::kInterrupted;
    status.reason = "its process is gone";
  }
}

}  // namespace

const char* Name(TrialState state) { return kStateNames[static_cast<size_t>(state)]; }

std::string SweepPlan::Describe(const PlannedTrial& trial) const {
  std::vector<std::string> parts;
  for (size_t i = 0; i < axes.size(); ++i) {
    parts.push_back(absl::StrCat(axes[i].name, "=", trial.labels[i]));
  }
  return absl::StrJoin(parts, " ");
}

std::string TrialStore::trial_path(const std::string& id) const {
  return JoinPath(JoinPath(path_, "trials"), id);
}

std::string TrialStore::console_path(const std::string& id) const {
  return JoinPath(trial_path(id), "console.log");
}

absl::Status TrialStore::Create() {
  if (files_.Exists(JoinPath(path_, kResolvedConfigFile))) {
    return absl::FailedPreconditionError(
        absl::StrCat("'", path_,
                     "' is the run directory of a training: give the sweep a directory "
                     "of its own with --out"));
  }
  return files_.CreateDirectories(JoinPath(path_, "trials"));
}

absl::Status TrialStore::WritePlan(const SweepSpec& spec, const std::vector<Trial>& trials) {
  const absl::StatusOr<SweepPlan> old = ReadPlan();
  if (old.ok() && old->name != spec.name) {
    return absl::FailedPreconditionError(
        absl::StrCat("'", path_, "' belongs to the sweep '", old->name, "', this one is called '",
                     spec.name, "': give it a directory of its own with --out"));
  }
  // One that a kill left unreadable is written again, but not one that a newer program wrote.
  if (old.status().code() == absl::StatusCode::kFailedPrecondition) return old.status();
  const std::string path = JoinPath(path_, kSweepPlanFile);
  const std::string text = Dump(PlanToJson(spec, trials), 1);
  if (ReadText(files_, path) == text) return absl::OkStatus();
  return WriteFileAtomically(files_, path, text);
}

absl::StatusOr<SweepPlan> TrialStore::ReadPlan() const {
  const std::string path = JoinPath(path_, kSweepPlanFile);
  if (!files_.Exists(path)) {
    return absl::NotFoundError(
        absl::StrCat("'", path_, "' is not the directory of a sweep: there is no ", path));
  }
  EQ_ASSIGN_OR_RETURN(const auto view, files_.Map(path));
  const Json json = Parse(view->text());
  if (json.is_object() && IntegerOf(json, "format") > kFormat) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " was written by a newer version of Equipoise (format ",
                     IntegerOf(json, "format"), "; this one knows formats up to ", kFormat, ")"));
  }
  if (!HasPlanShape(json)) {
    return absl::DataLossError(absl::StrCat(
        path, " is damaged; `equipoise sweep run` with the same sweep file writes it again"));
  }
  return PlanFromJson(json);
}

absl::Status TrialStore::PrepareTrial(const Trial& trial) {
  const std::string path = trial_path(trial.id);
  EQ_RETURN_IF_ERROR(files_.CreateDirectories(path));
  const std::string config_path = JoinPath(path, "config.textproto");
  if (ReadText(files_, config_path) == trial.config_text) return absl::OkStatus();
  return WriteFileAtomically(files_, config_path, trial.config_text);
}

absl::Status TrialStore::Append(const TrialEvent& event) {
  Json json;
  json["time"] = absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::Now(), absl::UTCTimeZone());
  json["id"] = event.id;
  json["state"] = Name(event.state);
  json["attempt"] = event.attempt;
  if (event.pid != 0) {
    json["pid"] = event.pid;
    json["host"] = HostName();
  }
  if (!event.reason.empty()) json["reason"] = event.reason;
  if (event.seconds > 0.0) json["seconds"] = event.seconds;
  const std::string path = JoinPath(path_, "trials.jsonl");
  const std::string old = ReadText(files_, path);
  // Half a line, left by a process that was killed, must not swallow this one.
  const std::string line =
      absl::StrCat(old.empty() || absl::EndsWith(old, "\n") ? "" : "\n", Dump(json, -1));
  EQ_ASSIGN_OR_RETURN(const auto file, files_.OpenAppend(path));
  EQ_RETURN_IF_ERROR(file->Append(line));
  return file->Close();
}

absl::StatusOr<std::map<std::string, TrialStatus>> TrialStore::ReadStatus(
    const SweepPlan& plan) const {
  std::map<std::string, TrialStatus> statuses;
  const std::string log = ReadText(files_, JoinPath(path_, "trials.jsonl"));
  for (const absl::string_view line : absl::StrSplit(log, '\n')) {
    Apply(Parse({line.data(), line.size()}), statuses);
  }
  for (const PlannedTrial& trial : plan.trials) {
    const RunStatus run = ReadRunStatus(trial.id);
    TrialStatus& status = statuses[trial.id];
    status.step = run.step;
    // What a time limit had ended was started again, and that start has not said anything yet.
    const bool is_stale = run.step < trial.steps && run.time < status.started;
    if (run.state == "finished" && is_stale && status.state != TrialState::kFinished) continue;
    if (run.state == "finished") {
      status.state = TrialState::kFinished;
      status.reason = run.reason;
    } else if (status.state == TrialState::kFinished ||
               (status.state == TrialState::kWaiting && !run.state.empty())) {
      // Its directory was taken away or is from a run by hand: the directory is right.
      status.state = run.state.empty() ? TrialState::kWaiting : TrialState::kInterrupted;
      status.reason = run.reason;
    }
  }
  return statuses;
}

std::string TrialStore::DescribeEarlierTrials(
    const SweepPlan& plan, const std::map<std::string, TrialStatus>& statuses) const {
  std::set<std::string> planned;
  for (const PlannedTrial& trial : plan.trials) planned.insert(trial.id);
  int count = 0;
  for (const auto& [id, status] : statuses) {
    if (planned.count(id) == 0 && files_.Exists(trial_path(id))) ++count;
  }
  if (count == 0) return "";
  return absl::StrCat(count,
                      count == 1 ? " earlier trial is no longer in the sweep; its folder stays"
                                 : " earlier trials are no longer in the sweep; their folders stay",
                      " in ", JoinPath(path_, "trials"));
}

TrialStore::RunStatus TrialStore::ReadRunStatus(const std::string& id) const {
  const Json json = Parse(ReadText(files_, JoinPath(trial_path(id), "STATUS.json")));
  if (!json.is_object()) return {};
  return {TextOf(json, "state"), TextOf(json, "reason"), IntegerOf(json, "step"),
          TextOf(json, "time")};
}

absl::Status TrialStore::CheckTrialFormat(const std::string& id) const {
  return CheckRunDirectoryFormat(files_, trial_path(id));
}

std::string TrialStore::ReadTrialConfig(const std::string& id) const {
  return ReadText(files_, JoinPath(trial_path(id), kResolvedConfigFile));
}

}  // namespace equipoise::launcher
