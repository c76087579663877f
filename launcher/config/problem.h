#ifndef EQUIPOISE_LAUNCHER_CONFIG_PROBLEM_H_
#define EQUIPOISE_LAUNCHER_CONFIG_PROBLEM_H_

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace equipoise::launcher {

// A place in one of the texts that make a configuration. Lines and columns count from 1; a tab
// reaches to the next multiple of 8 columns, as compilers count.
struct Location {
  int source = 0;  // index given by ProblemList::AddSource
  int line = 1;
  int column = 1;
};

// Everything that is wrong with a configuration, so that it can be told in one go. Belongs to one
// thread.
class ProblemList {
 public:
  // Names a text, which is kept to quote from. Sources are reported in the order of their
  // addition. `name` is a file's path, or what to print instead of path, line and column when
  // `is_file` is false.
  int AddSource(std::string name, std::string text, bool is_file);
  // Names a text that stands at `outer` in another one, as a sweep's values do: what is wrong with
  // it is reported there, after "`name`: ".
  int AddSourceAt(const Location& outer, std::string name);

  void Add(const Location& where, std::string what);
  // As Add, unless the line has a syntax problem already: one slip makes the rest of its line
  // unreadable too.
  void AddSyntax(const Location& where, std::string what);

  bool empty() const { return problems_.empty(); }
  size_t size() const { return problems_.size(); }
  bool has_syntax_problems() const { return !syntax_lines_.empty(); }

  // "file:line:col: what" per problem, sorted by place, each followed by the line and a caret when
  // it is in a file.
  std::string ToString() const;
  // InvalidArgument with ToString(), that ReportsOf takes apart again; OK if there are none.
  absl::Status ToStatus() const;
  bool is_file(const Location& where) const {
    return sources_[static_cast<size_t>(where.source)].is_file;
  }
  // "file:line" for a message about another place.
  std::string Describe(const Location& where) const;

 private:
  struct Source {
    std::string name;
    std::vector<std::string> lines;
    bool is_file;
    std::optional<Location> outer = {};
  };
  struct Problem {
    Location where;
    std::string what;
  };

  std::string Quote(const Location& where) const;
  // A text for each problem, sorted by place.
  std::vector<std::string> Reports() const;

  std::vector<Source> sources_;
  std::vector<Problem> problems_;
  std::set<std::pair<int, int>> syntax_lines_;  // source and line
};

// The reports that ToStatus put into a status, a problem each; its whole message as one if it is of
// another origin.
std::vector<std::string> ReportsOf(const absl::Status& status);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_PROBLEM_H_
