#include "routing/local_consistency.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/base/check.h"

namespace equipoise::routing {
namespace {

// The items of each token of a sequence, each once.
class Uses {
 public:
  Uses(std::span<const int32_t> ids, int top_k) : top_k_(static_cast<size_t>(top_k)) {
    for (size_t begin = 0; begin < ids.size(); begin += top_k_) {
      const size_t first = items_.size();
      for (const int32_t id : ids.subspan(begin, top_k_)) {
        const auto known = items_.begin() + static_cast<int64_t>(first);
        if (id >= 0 && std::find(known, items_.end(), id) == items_.end()) items_.push_back(id);
      }
      ends_.push_back(items_.size());
    }
  }

  int64_t length() const { return static_cast<int64_t>(ends_.size()); }
  std::span<const int32_t> Of(int64_t token) const {
    const size_t t = static_cast<size_t>(token);
    const size_t first = t == 0 ? 0 : ends_[t - 1];
    return std::span(items_).subspan(first, ends_[t] - first);
  }

 private:
  const size_t top_k_;
  std::vector<int32_t> items_;
  std::vector<size_t> ends_;
};

void CountWindows(const ConsistencyOptions& options, const Uses& uses, std::span<double> counts) {
  const int64_t segment = options.segment;
  if (uses.length() < segment) return;
  std::vector<size_t> used(static_cast<size_t>(options.num_items), 0);  // in the window
  std::vector<double> items(static_cast<size_t>(segment) + 1, 0.0);     // by that number
  items[0] = options.num_items;
  for (int64_t t = 0; t < uses.length(); ++t) {
    for (const int32_t item : uses.Of(t)) {
      size_t& number = used[static_cast<size_t>(item)];
      items[number] -= 1.0;
      items[++number] += 1.0;
    }
    if (t + 1 < segment) continue;
    for (size_t v = 0; v < items.size(); ++v) counts[v] += items[v];
    for (const int32_t item : uses.Of(t + 1 - segment)) {
      size_t& number = used[static_cast<size_t>(item)];
      items[number] -= 1.0;
      items[--number] += 1.0;
    }
  }
}

class BestCache {
 public:
  explicit BestCache(const ConsistencyOptions& options)
      : options_(options),
        coming_(static_cast<size_t>(options.num_items), 0),
        last_use_(static_cast<size_t>(options.num_items), -1) {}

  // Adds a sequence's hits and needs.
  void Run(const Uses& uses, double& hits, double& needed) {
    for (int64_t t = 0; t < std::min<int64_t>(options_.segment, uses.length()); ++t) {
      Add(uses.Of(t), 1);
    }
    for (int64_t t = 0; t < uses.length(); ++t) {
      Add(uses.Of(t), -1);
      if (t + options_.segment < uses.length()) Add(uses.Of(t + options_.segment), 1);
      for (const int32_t item : uses.Of(t)) {
        needed += 1.0;
        if (Touch(item, t)) hits += 1.0;
      }
      Evict();
    }
  }

 private:
  void Add(std::span<const int32_t> items, int64_t count) {
    for (const int32_t item : items) coming_[static_cast<size_t>(item)] += count;
  }

  // Brings the item in; whether it was there, or found a place that was never used.
  bool Touch(int32_t item, int64_t t) {
    int64_t& last = last_use_[static_cast<size_t>(item)];
    const bool first_use = last < 0;
    last = t;
    if (std::find(held_.begin(), held_.end(), item) != held_.end()) return true;
    held_.push_back(item);
    return first_use && seen_++ < options_.cache;
  }

  void Evict() {
    const size_t cache = static_cast<size_t>(options_.cache);
    if (held_.size() <= cache) return;
    std::sort(held_.begin(), held_.end(), [&](int32_t a, int32_t b) {
      const size_t x = static_cast<size_t>(a);
      const size_t y = static_cast<size_t>(b);
      if (coming_[x] != coming_[y]) return coming_[x] > coming_[y];
      return last_use_[x] != last_use_[y] ? last_use_[x] > last_use_[y] : a < b;
    });
    held_.resize(cache);
  }

  const ConsistencyOptions options_;
  std::vector<int64_t> coming_;    // uses in the next m tokens
  std::vector<int64_t> last_use_;  // -1: never
  std::vector<int32_t> held_;
  int seen_ = 0;  // different items so far
};

}  // namespace

void CountConsistency(const ConsistencyOptions& options, std::span<const int32_t> ids, int top_k,
                      std::span<double> counts) {
  EQ_CHECK(options.segment >= 1 && options.cache >= 1 && top_k >= 1);
  EQ_CHECK_EQ(ids.size() % static_cast<size_t>(top_k), 0u);
  EQ_CHECK_EQ(static_cast<int64_t>(counts.size()), NumConsistencyCounts(options));
  const Uses uses(ids, top_k);
  const size_t windows = static_cast<size_t>(options.segment) + 1;
  CountWindows(options, uses, counts.first(windows));
  BestCache(options).Run(uses, counts[windows], counts[windows + 1]);
}

std::optional<SegmentRouting> BestSegmentRouting(std::span<const double> windows) {
  const double segment = static_cast<double>(windows.size()) - 1.0;
  double uses = 0.0;
  for (size_t v = 0; v < windows.size(); ++v) uses += static_cast<double>(v) * windows[v];
  if (uses == 0.0) return std::nullopt;
  SegmentRouting best;
  double kept_uses = 0.0;
  double kept = 0.0;
  for (size_t v = windows.size() - 1; v > 0; --v) {
    kept_uses += static_cast<double>(v) * windows[v];
    kept += segment * windows[v];
    const double performance = 2.0 * kept_uses / (kept + uses);
    if (performance > best.performance) best = {performance, kept / uses};
  }
  return best;
}

}  // namespace equipoise::routing
