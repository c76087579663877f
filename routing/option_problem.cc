#include "routing/option_problem.h"

#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace equipoise::routing {
namespace {

// A problem a line, its parts between tabs: what, subject, others.
constexpr char kPayload[] = "equipoise/option_problems";

std::string TextOf(const OptionProblem& problem) {
  return problem.subject.empty() ? problem.what : absl::StrCat(problem.subject, " ", problem.what);
}

absl::Status ErrorOf(const std::string& label, const std::vector<OptionProblem>& problems) {
  std::vector<std::string> texts;
  std::vector<std::string> lines;
  for (const OptionProblem& problem : problems) {
    texts.push_back(TextOf(problem));
    std::vector<std::string> parts = {problem.what, problem.subject};
    parts.insert(parts.end(), problem.others.begin(), problem.others.end());
    lines.push_back(absl::StrJoin(parts, "\t"));
  }
  absl::Status status = absl::InvalidArgumentError(
      absl::StrCat(label, label.empty() ? "" : ": ", absl::StrJoin(texts, "; ")));
  status.SetPayload(kPayload, absl::Cord(absl::StrJoin(lines, "\n")));
  return status;
}

}  // namespace

absl::Status OptionError(OptionProblem problem) { return ErrorOf("", {std::move(problem)}); }

absl::Status OptionError(const std::string& router, OptionProblem problem) {
  return ErrorOf("router " + router, {std::move(problem)});
}

absl::Status JoinErrors(const std::string& label, const std::vector<absl::Status>& statuses) {
  std::vector<OptionProblem> all;
  for (const absl::Status& status : statuses) {
    for (OptionProblem& problem : OptionProblemsOf(status)) all.push_back(std::move(problem));
  }
  return all.empty() ? absl::OkStatus() : ErrorOf(label, all);
}

std::vector<OptionProblem> OptionProblemsOf(const absl::Status& status) {
  if (status.ok()) return {};
  const auto payload = status.GetPayload(kPayload);
  if (!payload.has_value()) return {{"", {}, std::string(status.message())}};
  std::vector<OptionProblem> problems;
  const std::string text(*payload);
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<std::string> parts = absl::StrSplit(line, '\t');
    problems.push_back({parts.at(1), {parts.begin() + 2, parts.end()}, parts.at(0)});
  }
  return problems;
}

}  // namespace equipoise::routing
