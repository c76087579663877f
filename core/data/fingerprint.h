#ifndef EQUIPOISE_CORE_DATA_FINGERPRINT_H_
#define EQUIPOISE_CORE_DATA_FINGERPRINT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/data/dataset.h"

namespace equipoise {

// What a domain's stream of tokens holds, in a few bytes: enough to notice that a corpus was built
// again, cut, extended or tokenised otherwise; blind to where its files lie and how it is split
// over them, which change nothing of what is trained on. A value.
struct DomainFingerprint {
  std::string domain;
  int64_t tokens = 0;  // of the packed stream, separators counted
  int64_t documents = 0;
  // XXH3-64, 16 hexadecimal digits, of 16 evenly spread runs of 1024 tokens, the first and the last
  // ones of the stream among them; of all tokens if there are no more than that.
  std::string sample;
};

// Of every domain, in order. Reads at most 64 KiB a domain, whatever its size. OutOfRange when a
// sampled token is not in the vocabulary.
absl::StatusOr<std::vector<DomainFingerprint>> FingerprintOf(const TokenDataset& data);

// "domain 'prose' has 1000 tokens there and 900 here", a line for each difference.
std::vector<std::string> DifferencesOf(const std::vector<DomainFingerprint>& there,
                                       const std::vector<DomainFingerprint>& here);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_DATA_FINGERPRINT_H_
