#include "launcher/commands/flags.h"

#include <cstddef>
#include <set>

#include "absl/flags/commandlineflag.h"
#include "absl/flags/reflection.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "core/base/check.h"
#include "launcher/config/suggest.h"

namespace equipoise::launcher {
namespace {

absl::CommandLineFlag& FlagOf(const FlagUse& use) {
  absl::CommandLineFlag* flag = absl::FindCommandLineFlag(use.name);
  EQ_CHECK(flag != nullptr) << "no flag is called " << use.name;
  return *flag;
}

// "-o FILE", as people know it.
bool IsLetter(const FlagUse& use) { return use.name[1] == '\0'; }

std::string Written(const FlagUse& use) {
  return absl::StrCat(IsLetter(use) ? "-" : "--", use.name);
}

class FlagParser {
 public:
  FlagParser(const std::vector<std::string>& arguments, const std::vector<FlagUse>& uses,
             std::vector<std::string>* operands)
      : arguments_(arguments), uses_(uses), operands_(operands) {}

  absl::Status Run() {
    while (next_ < arguments_.size()) Parse(arguments_[next_++]);
    return problems_.empty() ? absl::OkStatus() : absl::InvalidArgumentError(problems_);
  }

 private:
  void Fail(const std::string& problem) {
    absl::StrAppend(&problems_, problems_.empty() ? "" : "\n", problem);
  }

  void Parse(const std::string& argument) {
    const bool is_flag = absl::StartsWith(argument, "-") && argument != "-" && argument != "--";
    if (!is_flag && operands_ != nullptr) return operands_->push_back(argument);
    if (!is_flag) {
      return Fail(absl::StrCat("unexpected argument '", argument, "': flags begin with --"));
    }
    const std::string text = argument.substr(absl::StartsWith(argument, "--") ? 2 : 1);
    const size_t equals = text.find('=');
    const std::string name = text.substr(0, equals);
    const FlagUse* use = Find(name);
    if (use != nullptr && equals != std::string::npos) return Set(*use, text.substr(equals + 1));
    if (use != nullptr && IsBool(*use)) return Set(*use, "true");
    if (use != nullptr) return SetFromNext(*use);
    const bool negated = absl::StartsWith(name, "no") && equals == std::string::npos;
    const FlagUse* positive = negated ? Find(name.substr(2)) : nullptr;
    if (positive != nullptr && IsBool(*positive)) return Set(*positive, "false");
    ReportUnknown(name);
    // Its value, which would be reported as an argument without a flag.
    const bool has_value = equals == std::string::npos && next_ < arguments_.size() &&
                           !absl::StartsWith(arguments_[next_], "-");
    if (has_value) ++next_;
  }

  const FlagUse* Find(const std::string& name) const {
    for (const FlagUse& use : uses_) {
      if (name == use.name) return &use;
    }
    return nullptr;
  }

  bool IsBool(const FlagUse& use) const { return FlagOf(use).IsOfType<bool>(); }

  void SetFromNext(const FlagUse& use) {
    if (next_ >= arguments_.size() || absl::StartsWith(arguments_[next_], "--")) {
      return Fail(absl::StrCat(Written(use), " needs a value: ", Written(use),
                               IsLetter(use) ? " " : "=", use.value_name));
    }
    Set(use, arguments_[next_++]);
  }

  void Set(const FlagUse& use, const std::string& value) {
    if (use.values != nullptr) return use.values->push_back(value);
    if (!given_.insert(use.name).second) {
      return Fail(absl::StrCat(Written(use), " is given twice"));
    }
    if (value.empty()) {
      return Fail(absl::StrCat(Written(use), " is given an empty value: name ",
                               IsBool(use) ? "true or false" : use.value_name,
                               "; is a shell variable not set?"));
    }
    std::string problem;
    if (FlagOf(use).ParseFrom(value, &problem)) return;
    Fail(absl::StrCat("--", use.name, "=", value, ": expected ",
                      IsBool(use) ? "true or false" : use.value_name));
  }

  void ReportUnknown(const std::string& name) {
    std::vector<std::string> known = {"help"};
    for (const FlagUse& use : uses_) known.emplace_back(use.name);
    const std::string nearest = Nearest(name, known);
    Fail(absl::StrCat("unknown flag --", name,
                      nearest.empty() ? "" : absl::StrCat("; did you mean --", nearest, "?")));
  }

  const std::vector<std::string>& arguments_;
  const std::vector<FlagUse>& uses_;
  std::vector<std::string>* const operands_;
  size_t next_ = 0;
  std::set<std::string> given_;
  std::string problems_;
};

}  // namespace

absl::Status ParseFlags(const std::vector<std::string>& arguments, const std::vector<FlagUse>& uses,
                        std::vector<std::string>* operands) {
  return FlagParser(arguments, uses, operands).Run();
}

std::string DescribeFlags(const std::vector<FlagUse>& uses) {
  std::string text;
  for (const FlagUse& use : uses) {
    absl::StrAppend(&text, "  ", Written(use),
                    *use.value_name == '\0' ? ""
                    : IsLetter(use)         ? " "
                                            : "=",
                    use.value_name, use.values == nullptr ? "" : "   (may be repeated)", "\n");
    for (const absl::string_view line : absl::StrSplit(FlagOf(use).Help(), '\n')) {
      absl::StrAppend(&text, "      ", line, "\n");
    }
  }
  return text;
}

}  // namespace equipoise::launcher
