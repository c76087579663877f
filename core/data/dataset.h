#ifndef EQUIPOISE_CORE_DATA_DATASET_H_
#define EQUIPOISE_CORE_DATA_DATASET_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/data/mixture.h"
#include "core/data/packed_stream.h"
#include "core/data/token_layout.h"

namespace equipoise {

// One domain of the mixture: a kind of text whose loss and expert load are reported apart.
struct DataSource {
  std::string domain;  // unique name, for telemetry: "prose", "code"
  // Token files or patterns (PackedStreamOptions::paths).
  std::vector<std::string> paths;
  // Relative to the other domains' weights; positive. Equal weights give equal numbers of tokens
  // whatever the sizes of the domains: a small domain is then repeated more often.
  double weight = 1.0;
  TokenFormat format = TokenFormat::kAuto;
};

struct DatasetOptions {
  std::vector<DataSource> sources;
  int64_t sequence_length = 0;          // S, positive: a sample is S inputs and the S targets
  int64_t vocab_size = kByteVocabSize;  // V: a token outside [0, V) is an error when it is read
  int32_t separator = kByteSeparator;   // ends a document, in [0, V)
  uint64_t seed = 0;                    // of the sample order
};

// A mixture of domains cut into samples of S + 1 tokens. Immutable and thread-safe; owns its files.
//
// The windows of a domain: window w is tokens [w * S, w * S + S + 1) of its packed stream, so that
// neighbours share one token and every token but the stream's first is a target once an epoch. The
// last incomplete window is left out. Windows may span documents; the separator marks the border.
//
// Sample i, a pure function of (options, i) and so the same on any number of ranks:
//   (domain, n) = Mixture::At(i), seeded by StreamKey(seed, "data.mixture");
//   epoch e = n / windows(domain), k = n % windows(domain);
//   window = PermutedIndex(key, k, windows(domain)), key = the first two words of
//   Philox(StreamKey(seed, "data.order/" + domain name)).Words(e).
// So every window of a domain is seen once before any is seen again, and the order of a domain does
// not depend on the other domains or on their weights.
class TokenDataset {
 public:
  // InvalidArgument, naming the domain and the field, when there is no source, a name is empty or
  // given twice, a source has no path, a weight is not positive, S or V is not positive, the
  // separator is outside the vocabulary, or a domain has fewer than S + 1 tokens. Errors of files
  // as TokenFile::Open.
  static absl::StatusOr<std::unique_ptr<TokenDataset>> Open(const DatasetOptions& options);

  int num_domains() const { return static_cast<int>(domains_.size()); }
  const std::string& domain_name(int domain) const { return domains_[domain].name; }
  int64_t sequence_length() const { return sequence_length_; }
  int64_t vocab_size() const { return vocab_size_; }
  // Tokens of the packed stream, separators counted.
  int64_t num_tokens(int domain) const { return domains_[domain].stream->num_tokens(); }
  int64_t num_documents(int domain) const { return domains_[domain].stream->num_documents(); }
  // Windows of one epoch. Positive.
  int64_t num_windows(int domain) const { return domains_[domain].num_windows; }
  const Mixture& mixture() const { return mixture_; }

  struct Location {
    int domain = 0;
    uint64_t epoch = 0;  // of the domain
    int64_t window = 0;
  };
  // Where sample `global_index` comes from. Reads no token. REQUIRES: global_index < 2^63.
  Location Locate(uint64_t global_index) const;

  // Copies sample `global_index` to `tokens` [S + 1]: inputs are tokens[0, S), targets
  // tokens[1, S + 1). `*domain` gets its label unless `domain` is null. OutOfRange when a token is
  // not in the vocabulary; `tokens` is then unspecified.
  absl::Status GetSample(uint64_t global_index, std::span<int32_t> tokens, int* domain) const;

  // The same of the ordinal-th sample of a domain, whatever mixture it is drawn by. REQUIRES:
  // domain in range.
  absl::Status GetSampleOf(int domain, uint64_t ordinal, std::span<int32_t> tokens) const;

  // Copies window `window` of `domain` to `tokens` [S + 1]. REQUIRES: both in range.
  absl::Status GetWindow(int domain, int64_t window, std::span<int32_t> tokens) const;

  // Copies tokens [begin, begin + out.size()) of the domain's packed stream.
  absl::Status ReadStream(int domain, int64_t begin, std::span<int32_t> out) const;

 private:
  Location LocateOf(int domain, uint64_t ordinal) const;
  struct Domain {
    std::string name;
    std::unique_ptr<PackedStream> stream;
    int64_t num_windows = 0;
    uint64_t order_key = 0;
  };

  TokenDataset(const DatasetOptions& options, std::vector<Domain> domains, Mixture mixture);
  static absl::StatusOr<Domain> OpenDomain(const DatasetOptions& options, const DataSource& source);

  const int64_t sequence_length_;
  const int64_t vocab_size_;
  const std::vector<Domain> domains_;
  const Mixture mixture_;
};

// A fixed list of windows to evaluate on, domain after domain, so that each domain's loss is well
// defined and the same on any number of ranks: rank r of R takes the items i with i % R == r. No
// randomness. `dataset` (over validation files; its weights and seed play no part) must outlive it.
class ValidationWindows {
 public:
  // At most `max_windows_per_domain` of each domain, spread evenly over it: window j * W / n for
  // j in [0, n), n = min(W, max). 0: all of them.
  ValidationWindows(const TokenDataset* dataset, int64_t max_windows_per_domain);

  int64_t size() const { return static_cast<int64_t>(items_.size()); }
  int domain(int64_t item) const { return items_[item].domain; }
  int64_t window(int64_t item) const { return items_[item].window; }

  // Copies item `item` to `tokens` [S + 1]. REQUIRES: 0 <= item < size(). Errors as GetSample.
  absl::Status Get(int64_t item, std::span<int32_t> tokens, int* domain) const;

 private:
  struct Item {
    int domain;
    int64_t window;
  };

  const TokenDataset* dataset_;
  std::vector<Item> items_;
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_DATA_DATASET_H_
