#include "parallel/data_record.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "nlohmann/json.hpp"

namespace equipoise::parallel {
namespace {

constexpr char kTrainingKey[] = "data";
constexpr char kValidationKey[] = "validation_data";

nlohmann::json ToJson(const std::vector<DomainFingerprint>& data) {
  nlohmann::json list = nlohmann::json::array();
  for (const DomainFingerprint& domain : data) {
    list.push_back({{"domain", domain.domain},
                    {"tokens", domain.tokens},
                    {"documents", domain.documents},
                    {"sample", domain.sample}});
  }
  return list;
}

bool IsRecord(const nlohmann::json& item) {
  return item.is_object() && item.contains("domain") && item["domain"].is_string() &&
         item.contains("tokens") && item["tokens"].is_number_integer() &&
         item.contains("documents") && item["documents"].is_number_integer() &&
         item.contains("sample") && item["sample"].is_string();
}

// None if the manifest does not have it.
absl::StatusOr<std::optional<std::vector<DomainFingerprint>>> Recorded(const Manifest& manifest,
                                                                       const char* key) {
  const auto recorded = manifest.state.find(key);
  if (recorded == manifest.state.end()) return std::nullopt;
  std::vector<DomainFingerprint> data;
  bool legal = recorded->is_array();
  for (size_t i = 0; legal && i < recorded->size(); ++i) {
    const nlohmann::json& item = (*recorded)[i];
    legal = IsRecord(item);
    if (!legal) break;
    data.push_back({item["domain"].get<std::string>(), item["tokens"].get<int64_t>(),
                    item["documents"].get<int64_t>(), item["sample"].get<std::string>()});
  }
  if (!legal) {
    return absl::FailedPreconditionError(absl::StrCat("checkpoint of step ", manifest.step,
                                                      ": its manifest's record of its ", key,
                                                      " is damaged"));
  }
  return data;
}

}  // namespace

void RecordData(const RunData& data, Manifest& manifest) {
  manifest.state[kTrainingKey] = ToJson(data.training);
  if (!data.validation.empty()) manifest.state[kValidationKey] = ToJson(data.validation);
}

absl::StatusOr<std::vector<std::string>> CheckSameData(const Checkpoint& checkpoint,
                                                       const RunData& data, bool allow_other) {
  EQ_ASSIGN_OR_RETURN(const auto training, Recorded(checkpoint.manifest, kTrainingKey));
  EQ_ASSIGN_OR_RETURN(const auto validation, Recorded(checkpoint.manifest, kValidationKey));
  std::vector<std::string> warnings;
  const auto compare = [&](const std::vector<DomainFingerprint>& there,
                           const std::vector<DomainFingerprint>& here, const char* done) {
    const std::vector<std::string> differences = DifferencesOf(there, here);
    if (differences.empty()) return;
    warnings.push_back(absl::StrCat("the checkpoint ", checkpoint.path, " was ", done,
                                    " other data: ", absl::StrJoin(differences, "; ")));
  };
  if (training.has_value()) compare(*training, data.training, "trained on");
  if (validation.has_value() && !data.validation.empty()) {
    compare(*validation, data.validation, "validated on");
  }
  if (!warnings.empty() && !allow_other) {
    return absl::FailedPreconditionError(absl::StrCat(
        absl::StrJoin(warnings, "; "),
        ". Give the run the data it had (data.root, data.domain), or set data.allow_change to go ",
        "on with this"));
  }
  if (!training.has_value()) {
    warnings.push_back(absl::StrCat(checkpoint.path, " does not say what it was trained on: not ",
                                    "compared with this run's data"));
  }
  return warnings;
}

}  // namespace equipoise::parallel
