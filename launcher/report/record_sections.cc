// What happened to the runs, and what they were made from.

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "launcher/chart/markup.h"
#include "launcher/chart/timeline_chart.h"
#include "launcher/report/run_sections.h"

namespace equipoise::launcher {
namespace {

constexpr size_t kMaxEvents = 200;  // in the table; the file has all

std::string TimelineOf(const RunHistory& run, size_t number) {
  TimelineChart chart;
  chart.text = {absl::StrCat("chart-timeline-", number), absl::StrCat("What happened: ", run.name),
                "", ""};
  chart.x_label = "step";
  chart.x_high = static_cast<double>(run.last_step);
  chart.lanes = {{"starts", {}}, {"warnings", {}}, {"checkpoints", {}}, {"validations", {}}};
  for (const HistoryEvent& event : run.events) {
    const size_t lane = event.event == "start" ? 0 : event.event == "warning" ? 1 : 2;
    if (event.event == "end") continue;
    chart.lanes[lane].marks.push_back(
        {static_cast<double>(event.step),
         absl::StrCat(event.event, " at step ", event.step, ", ", event.time, " ", event.text)});
  }
  for (const ValidationPoint& point : run.validations) {
    chart.lanes[3].marks.push_back(
        {static_cast<double>(point.step),
         absl::StrCat("validation at step ", point.step, ": ", FormatFigure(point.row.loss))});
  }
  for (TimelineChart::Lane& lane : chart.lanes) {
    absl::StrAppend(&chart.text.summary, lane.marks.size(), " ", lane.name, ". ");
    std::stable_sort(lane.marks.begin(), lane.marks.end(),
                     [](const Mark& a, const Mark& b) { return a.x < b.x; });
    absl::StrAppend(&lane.name, " (", lane.marks.size(), ")");
  }
  return DrawTimeline(chart);
}

std::string EventTable(const RunHistory& run) {
  std::vector<std::vector<std::string>> rows = {{"time (UTC)", "step", "event", ""}};
  for (const HistoryEvent& event : run.events) {
    if (rows.size() > kMaxEvents) break;
    rows.push_back({event.time, absl::StrCat(event.step), event.event, event.text});
  }
  if (rows.size() < 2) return "";
  return absl::StrCat("<div class=\"card\">", HtmlTable(rows), "</div>\n");
}

// Fields in which the runs differ.
std::string DifferingFields(const Runs& runs) {
  std::set<std::string> paths;
  for (const RunHistory& run : runs) {
    for (const auto& [path, value] : run.config) paths.insert(path);
  }
  std::vector<std::vector<std::string>> rows = {{"field"}};
  for (const RunHistory& run : runs) rows[0].push_back(run.name);
  for (const std::string& path : paths) {
    std::vector<std::string> row = {path};
    bool differs = false;
    for (const RunHistory& run : runs) {
      const auto found = run.config.find(path);
      row.push_back(found == run.config.end() ? "" : found->second);
      differs = differs || row.back() != row[1];
    }
    if (differs) rows.push_back(std::move(row));
  }
  if (rows.size() == 1) return Paragraph("The configurations do not differ.");
  return absl::StrCat("<h3>Fields that differ</h3><div class=\"card\">", HtmlTable(rows),
                      "</div>\n");
}

// Names beside their texts, which may be long; on a phone above them.
std::string Pairs(const NamedTexts& texts) {
  std::string html = "<dl class=\"card pairs\">";
  for (const auto& [name, value] : texts) {
    absl::StrAppend(&html, "<dt>", EscapeMarkup(name), "</dt><dd>", EscapeMarkup(value), "</dd>");
  }
  return absl::StrCat(html, "</dl>\n");
}

std::string ConfigurationOf(const RunHistory& run) {
  std::string html;
  for (size_t i = 0; i < run.starts.size(); ++i) {
    const HistoryStart& start = run.starts[i];
    std::string inside = Pairs(start.facts);
    if (!start.environment.empty()) {
      absl::StrAppend(&inside,
                      Folded(absl::StrCat("Environment, ", start.environment.size(), " variables"),
                             Pairs(start.environment)));
    }
    absl::StrAppend(&html, Folded(absl::StrCat("Start ", i + 1, " of ", run.starts.size(),
                                               ": command, hosts, versions, environment"),
                                  inside, /*open=*/i + 1 == run.starts.size()));
  }
  if (run.starts.empty()) {
    absl::StrAppend(&html, Absent("run.json is missing or cannot be read: nothing is known of "
                                  "command, hosts and versions."));
  }
  if (run.config_text.empty()) {
    return absl::StrCat(html, Absent("config.textproto is missing: nothing is known of the "
                                     "configuration."));
  }
  return absl::StrCat(
      html, Folded("Configuration, every field",
                   absl::StrCat("<pre tabindex=\"0\">", EscapeMarkup(run.config_text), "</pre>")));
}

}  // namespace

Section TimelineSection(const Runs& runs) {
  std::string figures;
  std::string tables;
  for (size_t i = 0; i < runs.size(); ++i) {
    absl::StrAppend(&figures, TimelineOf(runs[i], i));
    const std::string table = EventTable(runs[i]);
    if (table.empty()) {
      absl::StrAppend(&tables, Absent(absl::StrCat(runs[i].name,
                                                   " has no events.jsonl: starts, checkpoints and "
                                                   "warnings are in log/rank00000.log only.")));
    } else {
      absl::StrAppend(&tables, Folded(absl::StrCat("Events of ", runs[i].name), table));
    }
  }
  return {"timeline", "Timeline", absl::StrCat(Grid(figures), tables)};
}

Section ConfigurationSection(const Runs& runs) {
  if (runs.size() == 1) return {"configuration", "Configuration", ConfigurationOf(runs[0])};
  std::string html = DifferingFields(runs);
  for (const RunHistory& run : runs) {
    absl::StrAppend(&html, Folded(run.name, ConfigurationOf(run)));
  }
  return {"configuration", "Configuration", html};
}

}  // namespace equipoise::launcher
