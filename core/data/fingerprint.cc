#include "core/data/fingerprint.h"

#include <algorithm>
#include <span>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/io/hash.h"

namespace equipoise {
namespace {

constexpr int64_t kRuns = 16;
constexpr int64_t kRunTokens = 1024;

absl::StatusOr<std::string> SampleOf(const TokenDataset& data, int domain) {
  const int64_t tokens = data.num_tokens(domain);
  const int64_t runs = std::min(kRuns, (tokens + kRunTokens - 1) / kRunTokens);
  std::vector<int32_t> run(static_cast<size_t>(std::min(kRunTokens, tokens)));
  const int64_t last_begin = tokens - static_cast<int64_t>(run.size());
  Xxh3Stream hash;
  for (int64_t i = 0; i < runs; ++i) {
    const int64_t begin =
        runs == 1 ? 0 : last_begin / (runs - 1) * i + last_begin % (runs - 1) * i / (runs - 1);
    EQ_RETURN_IF_ERROR(data.ReadStream(domain, begin, run));
    hash.Update(std::as_bytes(std::span(run)));
  }
  return HashToHex(hash.Digest());
}

void Compare(const DomainFingerprint& there, const DomainFingerprint& here,
             std::vector<std::string>& differences) {
  const std::string domain = absl::StrCat("domain '", here.domain, "' ");
  if (there.tokens != here.tokens) {
    differences.push_back(
        absl::StrCat(domain, "has ", there.tokens, " tokens there and ", here.tokens, " here"));
  } else if (there.documents != here.documents) {
    differences.push_back(absl::StrCat(domain, "has ", there.documents, " documents there and ",
                                       here.documents, " here"));
  } else if (there.sample != here.sample) {
    differences.push_back(absl::StrCat(domain, "has as many tokens, but others"));
  }
}

}  // namespace

absl::StatusOr<std::vector<DomainFingerprint>> FingerprintOf(const TokenDataset& data) {
  std::vector<DomainFingerprint> fingerprints;
  for (int domain = 0; domain < data.num_domains(); ++domain) {
    DomainFingerprint fingerprint = {data.domain_name(domain), data.num_tokens(domain),
                                     data.num_documents(domain), ""};
    EQ_ASSIGN_OR_RETURN(fingerprint.sample, SampleOf(data, domain));
    fingerprints.push_back(std::move(fingerprint));
  }
  return fingerprints;
}

std::vector<std::string> DifferencesOf(const std::vector<DomainFingerprint>& there,
                                       const std::vector<DomainFingerprint>& here) {
  std::vector<std::string> differences;
  const auto find = [](const std::vector<DomainFingerprint>& list, const std::string& name) {
    return std::find_if(list.begin(), list.end(),
                        [&](const DomainFingerprint& one) { return one.domain == name; });
  };
  for (const DomainFingerprint& one : there) {
    const auto match = find(here, one.domain);
    if (match != here.end()) {
      Compare(one, *match, differences);
    } else {
      differences.push_back(absl::StrCat("domain '", one.domain, "' is missing here"));
    }
  }
  for (const DomainFingerprint& one : here) {
    if (find(there, one.domain) == there.end()) {
      differences.push_back(absl::StrCat("domain '", one.domain, "' is new here"));
    }
  }
  return differences;
}

}  // namespace equipoise
