#include "launcher/config/trial_sketch.h"

#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace equipoise::launcher {

std::string PathOf(absl::string_view change) {
  return std::string(absl::StripAsciiWhitespace(change.substr(0, change.find('='))));
}

bool TrialSketch::HasField(const std::string& path, const Location& where) {
  if (path != "include") return binder_.CanOverride(path, where);
  problems_.Add(where, "include has no effect here: it belongs into a file");
  return false;
}

std::optional<std::string> TrialSketch::Bind(const std::string& text, const Location& source) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos) {
    problems_.Add(source, "expected PATH=VALUE, as in moe.top_k=2");
    return std::nullopt;
  }
  const std::string path = PathOf(text);
  if (!HasField(path, source)) return std::nullopt;
  binder_.BindOverride(path, absl::string_view(text).substr(equals + 1), source.source);
  return path;
}

std::vector<std::string> TrialSketch::FieldsBelow(const std::string& path, int num_texts) const {
  std::vector<std::string> below;
  for (const std::string& field : provenance_.WrittenAfter(num_texts)) {
    if (field != path && absl::StartsWith(field, path)) below.push_back(field);
  }
  return below;
}

std::string TrialSketch::Describe(const FieldClaim& claim) const {
  const std::string place = problems_.Describe(claim.where);
  return claim.owner.empty() ? place : absl::StrCat(claim.owner, " at ", place);
}

void TrialSketch::Take(const std::string& text, const FieldClaim& claim) {
  Location source;
  source.source = problems_.AddSourceAt(claim.where, claim.owner);
  const int num_texts = provenance_.num_texts();
  const std::optional<std::string> path = Bind(text, source);
  if (!path.has_value()) return;
  const std::optional<FieldClaims::Rival> rival =
      claims_.Add(*path, FieldsBelow(*path, num_texts), claim);
  if (!rival.has_value()) return;
  problems_.Add(claim.where,
                absl::StrCat(rival->field, " has two values in one trial: ", Describe(rival->claim),
                             " and ", Describe(claim), " both set it; leave one of them out"));
}

void TrialSketch::TakeOverride(const std::string& text, int number) {
  FieldClaim claim;
  claim.axis = kEveryTrial;
  claim.where.source = problems_.AddSource(absl::StrCat("--set #", number, " '", text, "'"), "",
                                           /*is_file=*/false);
  const int num_texts = provenance_.num_texts();
  const std::optional<std::string> path = Bind(text, claim.where);
  if (!path.has_value()) return;
  claims_.Replace(*path, claim);
  for (const std::string& field : FieldsBelow(*path, num_texts)) claims_.Replace(field, claim);
}

}  // namespace equipoise::launcher
