#include "launcher/sweep/report_text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "core/telemetry/console.h"
#include "launcher/sweep/text_table.h"

namespace equipoise::launcher {
namespace {

using Json = nlohmann::ordered_json;

std::vector<Figure> AllFigures() {
  std::vector<Figure> figures;
  for (size_t f = 0; f < kNumFigures; ++f) figures.push_back(static_cast<Figure>(f));
  return figures;
}

// A column of the table for people.
struct Column {
  const char* title;
  Figure figure;
  enum class Style { kInterval, kPlain, kCount, kPercent } style;
  int digits;
};
constexpr std::array<Column, 14> kColumns = {{
    {"validation loss", Figure::kValidationLoss, Column::Style::kInterval, 4},
    {"training loss", Figure::kTrainingLoss, Column::Style::kInterval, 4},
    {"Gini", Figure::kGiniMean, Column::Style::kInterval, 3},
    {"worst", Figure::kGiniWorst, Column::Style::kPlain, 3},
    {"floor", Figure::kGiniFloor, Column::Style::kPlain, 3},
    {"min/max", Figure::kMinMaxMean, Column::Style::kInterval, 3},
    {"max/mean", Figure::kMaxOverMeanMean, Column::Style::kInterval, 2},
    {"worst", Figure::kMaxOverMeanWorst, Column::Style::kPlain, 2},
    {"held-out Gini", Figure::kHeldOutGiniMean, Column::Style::kInterval, 3},
    {"held-out min/max", Figure::kHeldOutMinMaxMean, Column::Style::kInterval, 3},
    {"tok/s", Figure::kTokensPerSecond, Column::Style::kCount, 0},
    {"route", Figure::kRouteShare, Column::Style::kPercent, 0},
    {"a2a", Figure::kExchangeShare, Column::Style::kPercent, 0},
    {"B/token", Figure::kBytesPerToken, Column::Style::kCount, 0},
}};

std::string Cell(const Column& column, const std::optional<MeanInterval>& value) {
  if (!value.has_value()) return "";
  if (column.style == Column::Style::kCount) return FormatCount(value->mean);
  if (column.style == Column::Style::kPercent) return absl::StrFormat("%.1f%%", 100 * value->mean);
  std::string text = absl::StrFormat("%.*f", column.digits, value->mean);
  if (column.style == Column::Style::kInterval && value->half_width.has_value()) {
    absl::StrAppendFormat(&text, " ±%.*f", column.digits, *value->half_width);
  }
  return text;
}

std::string Mark(const ReportedPoint& point) {
  if (point.is_best) return point.on_frontier ? "* best" : "best";
  return point.on_frontier ? "*" : "";
}

std::string Footer(const SweepReport& report) {
  std::string text;
  if (report.loss.has_value()) {
    std::vector<std::string> names;
    for (const auto& figure : {report.loss, report.balance, report.time, report.bytes}) {
      if (figure.has_value()) names.emplace_back(Name(*figure));
    }
    absl::StrAppend(&text, "* on the Pareto frontier of ", absl::StrJoin(names, ", "),
                    "; best: lowest ", Name(*report.loss), "\n");
  }
  absl::StrAppend(&text, "± half the 95 % confidence interval over seeds. Balance of the last ",
                  report.window, " steps together.\n");
  for (const ReportedTrial& trial : report.trials) {
    if (trial.status.state != TrialState::kStopped) continue;
    absl::StrAppend(&text, "stopped, and not counted: ", trial.plan.id, " (",
                    absl::StrJoin(trial.plan.labels, ", "), "): ", trial.status.reason, "\n");
  }
  for (const ReportedTrial& trial : report.trials) {
    if (trial.not_counted.empty()) continue;
    absl::StrAppend(&text, "not counted: ", trial.plan.id, " (",
                    absl::StrJoin(trial.plan.labels, ", "), "): ", trial.not_counted, "\n");
  }
  if (!report.earlier_trials.empty()) absl::StrAppend(&text, report.earlier_trials, "\n");
  if (report.num_skipped_lines > 0) {
    absl::StrAppend(&text, report.num_skipped_lines,
                    " lines of metrics.jsonl could not be read and were left out\n");
  }
  return text;
}

// In quotes where a comma, a quote or a line end would be misread.
std::string CsvCell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

// The shortest text that reads back as the number; empty for none.
std::string CsvNumber(const std::optional<double>& value) {
  if (!value.has_value() || !std::isfinite(*value)) return "";
  return Json(*value).dump();
}

std::optional<double> MeanOf(const std::optional<MeanInterval>& value) {
  return value.has_value() ? std::optional<double>(value->mean) : std::nullopt;
}

std::optional<double> HalfWidthOf(const std::optional<MeanInterval>& value) {
  return value.has_value() ? value->half_width : std::nullopt;
}

Json PointToJson(const SweepReport& report, const ReportedPoint& point) {
  Json json;
  json["axes"] = Json::object();
  for (size_t i = 0; i < point.labels.size(); ++i) {
    json["axes"][report.point_axes[i]] = point.labels[i];
  }
  json["trials"] = point.num_trials;
  json["finished"] = point.num_finished;
  json["on_frontier"] = point.on_frontier;
  json["best"] = point.is_best;
  json["figures"] = Json::object();
  for (const Figure figure : AllFigures()) {
    const std::optional<MeanInterval>& value = point[figure];
    if (!value.has_value()) continue;
    Json& entry = json["figures"][Name(figure)];
    entry["mean"] = value->mean;
    entry["count"] = value->count;
    if (value->half_width.has_value()) entry["ci95"] = *value->half_width;
  }
  return json;
}

Json TrialToJson(const SweepReport& report, const ReportedTrial& trial) {
  Json json;
  json["id"] = trial.plan.id;
  json["axes"] = Json::object();
  for (size_t i = 0; i < trial.plan.labels.size(); ++i) {
    json["axes"][report.axes[i].name] = trial.plan.labels[i];
  }
  json["state"] = Name(trial.status.state);
  json["attempts"] = trial.status.attempts;
  json["step"] = trial.figures.last_step();
  json["steps"] = trial.plan.steps;
  json["window_steps"] = trial.figures.num_steps();
  if (!trial.status.reason.empty()) json["reason"] = trial.status.reason;
  if (!trial.not_counted.empty()) json["not_counted"] = trial.not_counted;
  if (trial.figures.num_skipped() > 0) json["skipped_lines"] = trial.figures.num_skipped();
  json["figures"] = Json::object();
  for (const Figure figure : AllFigures()) {
    const std::optional<double> value = trial.figures[figure];
    if (value.has_value()) json["figures"][Name(figure)] = *value;
  }
  return json;
}

}  // namespace

std::string ReportTable(const SweepReport& report) {
  std::vector<Column> columns;
  for (const Column& column : kColumns) {
    const auto has = [&](const ReportedPoint& point) { return point[column.figure].has_value(); };
    if (std::any_of(report.points.begin(), report.points.end(), has)) columns.push_back(column);
  }
  std::vector<std::vector<std::string>> rows = {report.point_axes};
  rows[0].push_back("trials");
  for (const Column& column : columns) rows[0].emplace_back(column.title);
  rows[0].emplace_back("");
  for (const ReportedPoint& point : report.points) {
    std::vector<std::string> row = point.labels;
    row.push_back(absl::StrCat(point.num_finished, "/", point.num_trials));
    for (const Column& column : columns) row.push_back(Cell(column, point[column.figure]));
    row.push_back(Mark(point));
    rows.push_back(std::move(row));
  }
  return absl::StrCat("sweep ", report.name, "\n\n", TextTable(rows), "\n", Footer(report));
}

std::string ReportCsv(const SweepReport& report) {
  std::vector<std::string> heading;
  for (const std::string& axis : report.point_axes) heading.push_back(CsvCell(axis));
  for (const char* name : {"trials", "finished", "on_frontier", "best"}) heading.emplace_back(name);
  for (const Figure figure : AllFigures()) {
    heading.emplace_back(Name(figure));
    heading.push_back(absl::StrCat(Name(figure), "_ci95"));
  }
  std::string text = absl::StrCat(absl::StrJoin(heading, ","), "\r\n");
  for (const ReportedPoint& point : report.points) {
    std::vector<std::string> cells;
    for (const std::string& label : point.labels) cells.push_back(CsvCell(label));
    for (const int number :
         {point.num_trials, point.num_finished, point.on_frontier ? 1 : 0, point.is_best ? 1 : 0}) {
      cells.push_back(absl::StrCat(number));
    }
    for (const Figure figure : AllFigures()) {
      cells.push_back(CsvNumber(MeanOf(point[figure])));
      cells.push_back(CsvNumber(HalfWidthOf(point[figure])));
    }
    absl::StrAppend(&text, absl::StrJoin(cells, ","), "\r\n");
  }
  return text;
}

std::string ReportJson(const SweepReport& report) {
  Json json;
  json["format"] = 1;
  json["sweep"] = report.name;
  json["window"] = report.window;
  json["skipped_lines"] = report.num_skipped_lines;
  if (!report.earlier_trials.empty()) json["earlier_trials"] = report.earlier_trials;
  json["frontier_of"] = Json::array();
  for (const auto& figure : {report.loss, report.balance, report.time, report.bytes}) {
    if (figure.has_value()) json["frontier_of"].push_back(Name(*figure));
  }
  json["points"] = Json::array();
  for (const ReportedPoint& point : report.points) {
    json["points"].push_back(PointToJson(report, point));
  }
  json["trials"] = Json::array();
  for (const ReportedTrial& trial : report.trials) {
    json["trials"].push_back(TrialToJson(report, trial));
  }
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace equipoise::launcher
