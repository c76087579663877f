#ifndef EQUIPOISE_LAUNCHER_CONFIG_PROBLEM_H_
#define EQUIPOISE_LAUNCHER_CONFIG_PROBLEM_H_

#include <cstddef>
#include <string>
#include <vector>

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

  void Add(const Location& where, std::string what);
  // As Add, unless the line has a syntax problem already: one slip makes the rest of its line
  // unreadable too.
  void AddSyntax(const Location& where, std::string what);

  bool empty() const { return problems_.empty(); }
  size_t size() const { return problems_.size(); }
  bool has_syntax_problems() const { return has_syntax_problems_; }

  // "file:line:col: what" per problem, sorted by place, each followed by the line and a caret when
  // it is in a file.
  std::string ToString() const;
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
  };
  struct Problem {
    Location where;
    std::string what;
    bool is_syntax;
  };

  std::string Quote(const Location& where) const;

  std::vector<Source> sources_;
  std::vector<Problem> problems_;
  bool has_syntax_problems_ = false;
};

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_PROBLEM_H_
