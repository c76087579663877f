#include "parallel/data_record.h"

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace equipoise::parallel {
namespace {

constexpr char kKey[] = "data";

bool IsRecord(const nlohmann::json& item) {
  return item.is_object() && item.contains("domain") && item["domain"].is_string() &&
         item.contains("tokens") && item["tokens"].is_number_integer() &&
         item.contains("documents") && item["documents"].is_number_integer() &&
         item.contains("sample") && item["sample"].is_string();
}

}  // namespace

void RecordData(const std::vector<DomainFingerprint>& data, Manifest& manifest) {
  nlohmann::json list = nlohmann::json::array();
  for (const DomainFingerprint& domain : data) {
    list.push_back({{"domain", domain.domain},
                    {"tokens", domain.tokens},
                    {"documents", domain.documents},
                    {"sample", domain.sample}});
  }
  manifest.state[kKey] = std::move(list);
}

absl::StatusOr<std::vector<std::string>> CompareData(const Manifest& manifest,
                                                     const std::vector<DomainFingerprint>& data) {
  const auto recorded = manifest.state.find(kKey);
  if (recorded == manifest.state.end()) return absl::NotFoundError("no record of the data");
  std::vector<DomainFingerprint> there;
  bool legal = recorded->is_array();
  for (size_t i = 0; legal && i < recorded->size(); ++i) {
    const nlohmann::json& item = (*recorded)[i];
    legal = IsRecord(item);
    if (!legal) break;
    there.push_back({item["domain"].get<std::string>(), item["tokens"].get<int64_t>(),
                     item["documents"].get<int64_t>(), item["sample"].get<std::string>()});
  }
  if (!legal) {
    return absl::DataLossError(absl::StrCat("checkpoint of step ", manifest.step,
                                            ": its manifest's record of the data is damaged"));
  }
  return DifferencesOf(there, data);
}

}  // namespace equipoise::parallel
