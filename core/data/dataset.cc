#include "core/data/dataset.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/rng.h"
#include "core/base/status_macros.h"

namespace equipoise {
namespace {

// `status` with the domain it concerns in front.
absl::Status InDomain(const std::string& domain, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat("domain '", domain, "': ", status.message()));
}

absl::Status CheckOptions(const DatasetOptions& options) {
  if (options.sources.empty()) {
    return absl::InvalidArgumentError("data: expected at least one source, found none");
  }
  if (options.sequence_length < 1 ||
      options.sequence_length >= std::numeric_limits<int32_t>::max()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "data: expected a sequence length from 1 to 2^31 - 2, found ", options.sequence_length));
  }
  if (options.vocab_size < 1 || options.vocab_size > std::numeric_limits<int32_t>::max()) {
    return absl::InvalidArgumentError(
        absl::StrCat("data: expected a vocabulary of 1 to 2^31 - 1, found ", options.vocab_size));
  }
  for (size_t i = 0; i < options.sources.size(); ++i) {
    const std::string& name = options.sources[i].domain;
    if (name.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("data: source ", i, " has no domain name"));
    }
    for (size_t j = 0; j < i; ++j) {
      if (options.sources[j].domain != name) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("data: sources ", j, " and ", i, " are both named '", name,
                       "'; list all paths of a domain in one source"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Mixture> CreateMixture(const DatasetOptions& options) {
  std::vector<double> weights;
  for (const DataSource& source : options.sources) {
    if (!(source.weight > 0) || !std::isfinite(source.weight)) {
      return absl::InvalidArgumentError(
          absl::StrCat("domain '", source.domain, "': expected a positive finite weight, found ",
                       source.weight, "; to leave the domain out, remove its source"));
    }
    weights.push_back(source.weight);
  }
  return Mixture::Create(weights, options.seed);
}

}  // namespace

absl::StatusOr<TokenDataset::Domain> TokenDataset::OpenDomain(const DatasetOptions& options,
                                                              const DataSource& source) {
  PackedStreamOptions stream;
  stream.paths = source.paths;
  stream.file = {source.format, options.vocab_size};
  stream.separator = options.separator;
  Domain domain;
  domain.name = source.domain;
  absl::StatusOr<std::unique_ptr<PackedStream>> opened = PackedStream::Open(stream);
  if (!opened.ok()) return InDomain(source.domain, opened.status());
  domain.stream = *std::move(opened);
  const int64_t num_tokens = domain.stream->num_tokens();
  domain.num_windows = (num_tokens - 1) / options.sequence_length;
  if (domain.num_windows < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "domain '", source.domain, "': expected at least ", options.sequence_length + 1,
        " tokens (sequence length + 1), found ", num_tokens, " in ", source.paths.front(),
        source.paths.size() > 1 ? " and more" : "", "; add text or shorten the sequences"));
  }
  domain.order_key = StreamKey(options.seed, "data.order/" + source.domain);
  return domain;
}

absl::StatusOr<std::unique_ptr<TokenDataset>> TokenDataset::Open(const DatasetOptions& options) {
  EQ_RETURN_IF_ERROR(CheckOptions(options));
  EQ_ASSIGN_OR_RETURN(Mixture mixture, CreateMixture(options));
  std::vector<Domain> domains;
  for (const DataSource& source : options.sources) {
    EQ_ASSIGN_OR_RETURN(Domain domain, OpenDomain(options, source));
    domains.push_back(std::move(domain));
  }
  return std::unique_ptr<TokenDataset>(
      new TokenDataset(options, std::move(domains), std::move(mixture)));
}

TokenDataset::TokenDataset(const DatasetOptions& options, std::vector<Domain> domains,
                           Mixture mixture)
    : sequence_length_(options.sequence_length),
      vocab_size_(options.vocab_size),
      domains_(std::move(domains)),
      mixture_(std::move(mixture)) {}

TokenDataset::Location TokenDataset::Locate(uint64_t global_index) const {
  const Mixture::Draw draw = mixture_.At(global_index);
  return LocateOf(draw.domain, draw.ordinal);
}

TokenDataset::Location TokenDataset::LocateOf(int number, uint64_t ordinal) const {
  const Domain& domain = domains_[static_cast<size_t>(number)];
  const uint64_t windows = static_cast<uint64_t>(domain.num_windows);
  const uint64_t epoch = ordinal / windows;
  const auto words = Philox(domain.order_key).Words(epoch);
  const uint64_t key = (static_cast<uint64_t>(words[0]) << 32) | words[1];
  const uint64_t window = PermutedIndex(key, ordinal % windows, windows);
  return {number, epoch, static_cast<int64_t>(window)};
}

absl::Status TokenDataset::GetSampleOf(int domain, uint64_t ordinal,
                                       std::span<int32_t> tokens) const {
  EQ_CHECK(domain >= 0 && domain < num_domains()) << "domain " << domain;
  return GetWindow(domain, LocateOf(domain, ordinal).window, tokens);
}

absl::Status TokenDataset::GetSample(uint64_t global_index, std::span<int32_t> tokens,
                                     int* domain) const {
  const Location location = Locate(global_index);
  if (domain != nullptr) *domain = location.domain;
  return GetWindow(location.domain, location.window, tokens);
}

absl::Status TokenDataset::GetWindow(int domain, int64_t window, std::span<int32_t> tokens) const {
  EQ_CHECK(domain >= 0 && domain < num_domains()) << "domain " << domain;
  EQ_CHECK(window >= 0 && window < num_windows(domain)) << "window " << window;
  EQ_CHECK_EQ(static_cast<int64_t>(tokens.size()), sequence_length_ + 1);
  return ReadStream(domain, window * sequence_length_, tokens);
}

absl::Status TokenDataset::ReadStream(int domain, int64_t begin, std::span<int32_t> out) const {
  absl::Status status = domains_[domain].stream->Read(begin, out);
  return status.ok() ? status : InDomain(domains_[domain].name, status);
}

ValidationWindows::ValidationWindows(const TokenDataset* dataset, int64_t max_windows_per_domain)
    : dataset_(dataset) {
  EQ_CHECK_GE(max_windows_per_domain, 0);
  for (int domain = 0; domain < dataset->num_domains(); ++domain) {
    const int64_t windows = dataset->num_windows(domain);
    const int64_t taken =
        max_windows_per_domain == 0 ? windows : std::min(windows, max_windows_per_domain);
    for (int64_t j = 0; j < taken; ++j) {
      // A corpus has fewer than 2^63 bytes, a list of windows far fewer entries: 128 bits are safe.
      const auto window = static_cast<int64_t>(static_cast<__int128>(j) * windows / taken);
      items_.push_back({domain, window});
    }
  }
}

absl::Status ValidationWindows::Get(int64_t item, std::span<int32_t> tokens, int* domain) const {
  EQ_CHECK(item >= 0 && item < size()) << "validation window " << item << " of " << size();
  if (domain != nullptr) *domain = items_[item].domain;
  return dataset_->GetWindow(items_[item].domain, items_[item].window, tokens);
}

}  // namespace equipoise
