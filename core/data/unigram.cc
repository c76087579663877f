#include "core/data/unigram.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/base/status_macros.h"

namespace equipoise {
namespace {

// Tokens counted at a time.
constexpr int64_t kChunk = 1 << 16;

void Count(std::span<const int32_t> tokens, UnigramStats& stats) {
  for (const int32_t token : tokens) ++stats.counts[token];
}

void Finish(UnigramStats& stats) {
  stats.total = std::accumulate(stats.counts.begin(), stats.counts.end(), int64_t{0});
  stats.entropy_nats = EntropyNats(stats.counts);
}

}  // namespace

double EntropyNats(std::span<const int64_t> counts) {
  double total = 0;
  for (const int64_t count : counts) total += static_cast<double>(count);
  double entropy = 0;
  for (const int64_t count : counts) {
    if (count == 0) continue;
    const double share = static_cast<double>(count) / total;
    entropy -= share * std::log(share);
  }
  return entropy;
}

absl::StatusOr<UnigramStats> CountUnigrams(const ValidationWindows& windows,
                                           const TokenDataset& dataset, int domain) {
  UnigramStats stats;
  stats.counts.resize(dataset.vocab_size());
  std::vector<int32_t> tokens(dataset.sequence_length() + 1);
  for (int64_t item = 0; item < windows.size(); ++item) {
    if (windows.domain(item) != domain) continue;
    EQ_RETURN_IF_ERROR(windows.Get(item, tokens, nullptr));
    Count(std::span<const int32_t>(tokens).subspan(1), stats);
  }
  Finish(stats);
  return stats;
}

absl::StatusOr<UnigramStats> CountUnigrams(const TokenDataset& dataset, int domain) {
  UnigramStats stats;
  stats.counts.resize(dataset.vocab_size());
  const int64_t total = dataset.num_tokens(domain);
  std::vector<int32_t> tokens(std::min(kChunk, total));
  for (int64_t begin = 0; begin < total; begin += kChunk) {
    const std::span<int32_t> chunk =
        std::span<int32_t>(tokens).first(std::min(kChunk, total - begin));
    EQ_RETURN_IF_ERROR(dataset.ReadStream(domain, begin, chunk));
    Count(chunk, stats);
  }
  Finish(stats);
  return stats;
}

}  // namespace equipoise
