#ifndef EQUIPOISE_LAUNCHER_CONFIG_SYNTAX_H_
#define EQUIPOISE_LAUNCHER_CONFIG_SYNTAX_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "launcher/config/problem.h"

namespace equipoise::launcher {

// Protobuf's text format as a tree that knows where everything stands. libprotobuf's own parser
// stops at the first error and keeps no places; this one goes on, so that all problems of a file
// are told at once.
//
// The language: fields `name: value` and `name { fields }`, lists `name: [a, b]`, numbers, quoted
// strings (neighbours are joined), names, and comments from # to the end of the line. Fields may be
// separated by commas or semicolons.
struct SyntaxField;

struct SyntaxValue {
  enum class Kind {
    kInteger,
    kFloat,
    kString,
    kName,  // an enumeration's value, true, false, nan, inf
    kBlock,
    kList,
    kBroken,  // not readable; has been reported
  };
  Kind kind = Kind::kBroken;
  Location where;
  bool negative = false;
  std::string text;                 // as written; for kString its contents
  std::vector<SyntaxField> fields;  // kBlock
  std::vector<SyntaxValue> items;   // kList
};

struct SyntaxField {
  std::string name;
  Location where;
  SyntaxValue value;
};

// The fields of a file. `source` is its number in `problems`, which gets all that cannot be read.
SyntaxValue ParseFields(absl::string_view text, int source, ProblemList& problems);

// One value, as the right-hand side of an override.
SyntaxValue ParseValue(absl::string_view text, int source, ProblemList& problems);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_SYNTAX_H_
