#include "launcher/config/problem.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace equipoise::launcher {
namespace {

constexpr size_t kTabWidth = 8;
constexpr size_t kLongestQuote = 160;

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

void ProblemList::Add(const Location& where, std::string what) {
  problems_.push_back({where, std::move(what), /*is_syntax=*/false});
}

void ProblemList::AddSyntax(const Location& where, std::string what) {
  has_syntax_problems_ = true;
  for (const Problem& problem : problems_) {
    const bool same_line = problem.where.source == where.source && problem.where.line == where.line;
    if (problem.is_syntax && same_line) return;
  }
  problems_.push_back({where, std::move(what), /*is_syntax=*/true});
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
  return source.is_file ? absl::StrCat(source.name, ":", where.line) : source.name;
}

std::string ProblemList::ToString() const {
  std::vector<const Problem*> sorted;
  for (const Problem& problem : problems_) sorted.push_back(&problem);
  std::stable_sort(sorted.begin(), sorted.end(), [](const Problem* a, const Problem* b) {
    return std::tie(a->where.source, a->where.line, a->where.column) <
           std::tie(b->where.source, b->where.line, b->where.column);
  });
  std::string text;
  for (const Problem* problem : sorted) {
    const Source& source = sources_[static_cast<size_t>(problem->where.source)];
    if (source.is_file) {
      absl::StrAppend(&text, source.name, ":", problem->where.line, ":", problem->where.column,
                      ": ", problem->what, "\n", Quote(problem->where));
    } else {
      absl::StrAppend(&text, source.name, ": ", problem->what, "\n");
    }
  }
  return text;
}

}  // namespace equipoise::launcher
