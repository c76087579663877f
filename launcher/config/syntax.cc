#include "launcher/config/syntax.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <cstddef>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"

namespace equipoise::launcher {
namespace {

using google::protobuf::io::Tokenizer;

// Deeper than any schema; keeps hostile input from exhausting the stack.
constexpr int kDeepestNesting = 32;

Location LocationOf(int source, int line, int column) { return {source, line + 1, column + 1}; }

class TokenProblems : public google::protobuf::io::ErrorCollector {
 public:
  TokenProblems(int source, ProblemList& problems) : source_(source), problems_(problems) {}
  void AddError(int line, int column, const std::string& message) override {
    problems_.AddSyntax(LocationOf(source_, line, column), message);
    lines_.insert(line);
  }
  const std::set<int>& lines() const { return lines_; }

 private:
  const int source_;
  ProblemList& problems_;
  std::set<int> lines_;
};

struct TokenList {
  std::vector<Tokenizer::Token> tokens;  // the last is TYPE_END
  std::set<int> broken_lines;            // from 0; what they say is not to be trusted
};

TokenList Tokenize(absl::string_view text, int source, ProblemList& problems) {
  google::protobuf::io::ArrayInputStream stream(text.data(), static_cast<int>(text.size()));
  TokenProblems token_problems(source, problems);
  Tokenizer tokenizer(&stream, &token_problems);
  tokenizer.set_comment_style(Tokenizer::SH_COMMENT_STYLE);
  TokenList list;
  while (tokenizer.Next()) list.tokens.push_back(tokenizer.current());
  list.tokens.push_back(tokenizer.current());
  list.broken_lines = token_problems.lines();
  return list;
}

class Parser {
 public:
  Parser(absl::string_view text, int source, ProblemList& problems)
      : source_(source),
        problems_(problems),
        list_(Tokenize(text, source, problems)),
        tokens_(list_.tokens) {}

  SyntaxValue File() {
    SyntaxValue file;
    file.kind = SyntaxValue::Kind::kBlock;
    file.where = Here();
    while (true) {
      Fields(file.fields);
      if (AtEnd()) return file;
      Fail("this closes nothing");
      ++position_;
    }
  }

  SyntaxValue SingleValue() {
    SyntaxValue value = Value();
    if (value.kind != SyntaxValue::Kind::kBroken && !AtEnd()) {
      Fail(absl::StrCat("unexpected '", Token().text, "' after the value"));
      value.kind = SyntaxValue::Kind::kBroken;
    }
    return value;
  }

 private:
  const Tokenizer::Token& Token() const { return tokens_[position_]; }
  bool AtEnd() const { return Token().type == Tokenizer::TYPE_END; }
  bool At(absl::string_view symbol) const {
    return Token().type == Tokenizer::TYPE_SYMBOL && Token().text == symbol;
  }
  bool AtName() const { return Token().type == Tokenizer::TYPE_IDENTIFIER; }
  Location Here() const { return LocationOf(source_, Token().line, Token().column); }
  std::string Found() const {
    return AtEnd() ? std::string("the end") : absl::StrCat("'", Token().text, "'");
  }
  void Fail(std::string what) { problems_.AddSyntax(Here(), std::move(what)); }

  // Goes on at the first token of a later line, or at the bracket that closes the current block.
  void SkipLine() {
    const int line = Token().line;
    int depth = 0;
    for (; !AtEnd(); ++position_) {
      if (depth == 0 && (At("}") || Token().line > line)) return;
      if (At("{") || At("[")) ++depth;
      if ((At("}") || At("]")) && depth > 0) --depth;
    }
  }

  // Until the end or a '}' that closes the block around the fields.
  void Fields(std::vector<SyntaxField>& fields) {
    while (!AtEnd() && !At("}")) {
      if (At(",") || At(";")) {
        ++position_;
      } else if (AtName()) {
        Field(fields);
      } else {
        Fail(absl::StrCat("expected a field's name, found ", Found()));
        ++position_;
        SkipLine();
      }
    }
  }

  void Field(std::vector<SyntaxField>& fields) {
    SyntaxField field;
    field.name = Token().text;
    field.where = Here();
    ++position_;
    if (At(":")) {
      ++position_;
    } else if (At("=")) {
      Fail(absl::StrCat("expected ':' after '", field.name, "', found '='"));
      ++position_;
    } else if (!At("{")) {
      problems_.AddSyntax(field.where, absl::StrCat("expected ':' and a value, or a block, after '",
                                                    field.name, "'; found ", Found()));
      SkipLine();
      field.value.where = field.where;
      fields.push_back(std::move(field));  // broken, yet known to have been written
      return;
    }
    field.value = NextIsField() ? MissingValue(field) : Value();
    if (field.value.kind == SyntaxValue::Kind::kBroken) SkipRest();
    fields.push_back(std::move(field));
  }

  // Whether `name:` or `name {` follows: then the value before it was forgotten.
  bool NextIsField() const {
    if (!AtName() || position_ + 1 >= tokens_.size()) return false;
    const Tokenizer::Token& next = tokens_[position_ + 1];
    return next.type == Tokenizer::TYPE_SYMBOL && (next.text == ":" || next.text == "{");
  }

  SyntaxValue MissingValue(const SyntaxField& field) {
    problems_.AddSyntax(field.where, absl::StrCat("'", field.name, "' has no value"));
    SyntaxValue value;
    value.where = field.where;
    return value;
  }

  // After a broken value: the rest of its line, unless the next line begins here already.
  void SkipRest() {
    if (position_ > 0 && tokens_[position_ - 1].line == Token().line) SkipLine();
  }

  SyntaxValue Value() {
    SyntaxValue value;
    value.where = Here();
    if (At("{")) return Block();
    if (At("[")) return List();
    if (list_.broken_lines.count(Token().line) > 0) return value;
    if (At("-")) {
      value.negative = true;
      ++position_;
    }
    switch (Token().type) {
      case Tokenizer::TYPE_INTEGER:
        value.kind = SyntaxValue::Kind::kInteger;
        break;
      case Tokenizer::TYPE_FLOAT:
        value.kind = SyntaxValue::Kind::kFloat;
        break;
      case Tokenizer::TYPE_IDENTIFIER:
        value.kind = SyntaxValue::Kind::kName;
        break;
      case Tokenizer::TYPE_STRING:
        return String(value);
      default:
        Fail(absl::StrCat("expected a value, found ", Found()));
        return value;
    }
    value.text = Token().text;
    ++position_;
    return value;
  }

  SyntaxValue String(SyntaxValue value) {
    if (value.negative) {
      Fail("a string has no sign");
      return value;
    }
    value.kind = SyntaxValue::Kind::kString;
    for (; Token().type == Tokenizer::TYPE_STRING; ++position_) {
      Tokenizer::ParseStringAppend(Token().text, &value.text);
    }
    return value;
  }

  SyntaxValue Block() {
    SyntaxValue value;
    value.where = Here();
    if (!Enter()) return value;
    Fields(value.fields);
    --depth_;
    if (AtEnd()) {
      problems_.AddSyntax(value.where, "this '{' is never closed");
      return value;
    }
    ++position_;
    value.kind = SyntaxValue::Kind::kBlock;
    return value;
  }

  SyntaxValue List() {
    SyntaxValue value;
    value.where = Here();
    if (!Enter()) return value;
    while (!At("]")) {
      value.items.push_back(Value());
      if (value.items.back().kind == SyntaxValue::Kind::kBroken) return --depth_, value;
      if (At(",")) {
        ++position_;
      } else if (!At("]")) {
        Fail(absl::StrCat("expected ',' or ']' in the list, found ", Found()));
        return --depth_, value;
      }
    }
    --depth_;
    ++position_;
    value.kind = SyntaxValue::Kind::kList;
    return value;
  }

  // Past an opening bracket, unless it is too deep.
  bool Enter() {
    if (depth_ >= kDeepestNesting) {
      Fail("nested too deep");
      position_ = tokens_.size() - 1;
      return false;
    }
    ++depth_;
    ++position_;
    return true;
  }

  const int source_;
  ProblemList& problems_;
  const TokenList list_;
  const std::vector<Tokenizer::Token>& tokens_;
  size_t position_ = 0;
  int depth_ = 0;
};

}  // namespace

SyntaxValue ParseFields(absl::string_view text, int source, ProblemList& problems) {
  return Parser(text, source, problems).File();
}

SyntaxValue ParseValue(absl::string_view text, int source, ProblemList& problems) {
  return Parser(text, source, problems).SingleValue();
}

}  // namespace equipoise::launcher
