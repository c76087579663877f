#include "launcher/config/problem.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace equipoise::launcher {
namespace {

constexpr size_t kTabWidth = 8;
constexpr size_t kLongestQuote = 160;
constexpr char kPayload[] = "equipoise/reports";
constexpr char kSeparator = '\x1e';

std::string ExpandTabs(const std::string& line) {
  std::string expanded;
  for (const char c : line) {
    if (c == '\t') {
      expanded.append(kTabWidth - expanded.size() % kTabWidth, ' ');
    } else {
      expanded.push_back(static_cast<unsigned char>(c) < ' ' ? ' ' : c);
    }
  }
  return expanded;
}

}  // namespace

int ProblemList::AddSource(std::string name, std::string text, bool is_file) {
  std::vector<std::string> lines = absl::StrSplit(text, '\n');
  sources_.push_back({std::move(name), std::move(lines), is_file});
  return static_cast<int>(sources_.size()) - 1;
}

int ProblemList::AddSourceAt(const Location& outer, std::string name) {
  sources_.push_back({std::move(name), {}, /*is_file=*/false, outer});
  return static_cast<int>(sources_.size()) - 1;
}

void ProblemList::Add(const Location& where, std::string what) {
  const Source& source = sources_[static_cast<size_t>(where.source)];
  if (source.outer.has_value()) {
    problems_.push_back({*source.outer, absl::StrCat(source.name, ": ", what)});
  } else {
    problems_.push_back({where, std::move(what)});
  }
}

void ProblemList::AddSyntax(const Location& where, std::string what) {
  if (syntax_lines_.insert({where.source, where.line}).second) Add(where, std::move(what));
}

std::string ProblemList::Quote(const Location& where) const {
  const std::vector<std::string>& lines = sources_[static_cast<size_t>(where.source)].lines;
  const size_t index = static_cast<size_t>(where.line) - 1;
  if (index >= lines.size()) return "";
  const std::string line = ExpandTabs(lines[index]);
  const size_t column = static_cast<size_t>(where.column) - 1;
  // A field that nobody wrote is missed at the file's start, where a comment tells nothing.
  if (line.empty() || line.front() == '#' || line.size() > kLongestQuote || column > line.size()) {
    return "";
  }
  return absl::StrCat("    ", line, "\n    ", std::string(column, ' '), "^\n");
}

std::string ProblemList::Describe(const Location& where) const {
  const Source& source = sources_[static_cast<size_t>(where.source)];
  if (source.outer.has_value()) return Describe(*source.outer);
  return source.is_file ? absl::StrCat(source.name, ":", where.line) : source.name;
}

std::vector<std::string> ProblemList::Reports() const {
  std::vector<const Problem*> sorted;
  for (const Problem& problem : problems_) sorted.push_back(&problem);
  std::stable_sort(sorted.begin(), sorted.end(), [](const Problem* a, const Problem* b) {
    return std::tie(a->where.source, a->where.line, a->where.column) <
           std::tie(b->where.source, b->where.line, b->where.column);
  });
  std::vector<std::string> reports;
  for (const Problem* problem : sorted) {
    const Source& source = sources_[static_cast<size_t>(problem->where.source)];
    if (source.is_file) {
      reports.push_back(absl::StrCat(source.name, ":", problem->where.line, ":",
                                     problem->where.column, ": ", problem->what, "\n",
                                     Quote(problem->where)));
    } else {
      reports.push_back(absl::StrCat(source.name, ": ", problem->what, "\n"));
    }
  }
  return reports;
}

std::string ProblemList::ToString() const { return absl::StrJoin(Reports(), ""); }

absl::Status ProblemList::ToStatus() const {
  if (empty()) return absl::OkStatus();
  const std::vector<std::string> reports = Reports();
  absl::Status status = absl::InvalidArgumentError(absl::StrJoin(reports, ""));
  status.SetPayload(kPayload, absl::Cord(absl::StrJoin(reports, std::string(1, kSeparator))));
  return status;
}

std::vector<std::string> ReportsOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kPayload);
  if (!payload.has_value()) return {std::string(status.message())};
  return absl::StrSplit(std::string(*payload), kSeparator);
}

}  // namespace equipoise::launcher
