#ifndef EQUIPOISE_ROUTING_HASH_ROUTER_H_
#define EQUIPOISE_ROUTING_HASH_ROUTER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "core/base/rng.h"
#include "routing/router.h"
#include "routing/statistics.h"

namespace equipoise::routing {

// What a token is hashed by.
struct HashKey {
  int64_t group = 0;   // whose experts it may have
  uint64_t token = 0;  // equal keys of a group have equal experts
};

// Makes the keys. Immutable.
class HashKeys {
 public:
  virtual ~HashKeys() = default;
  virtual HashKey Of(const RouterInput& input, int64_t row) const = 0;
};

// A router without scores: a token's experts are K different ones of its group's E / num_groups,
// drawn from (seed, layer, key), ascending, every gate 1/K. No parameters, no gradient, no losses.
// It has no scores, so it reports no entropy.
class HashRouter final : public Router {
 public:
  // REQUIRES: CheckHashOptions.
  HashRouter(const RouterOptions& options, int num_groups, std::unique_ptr<HashKeys> keys);

  const std::string& kind() const override { return options_.kind; }
  int64_t max_copies_per_token() const override { return options_.top_k; }
  int64_t num_statistics() const override { return layout_.size(); }
  int64_t saved_per_token() const override { return 0; }
  LossScope statistics_scope() const override { return LossScope::kMicroBatch; }

  void Forward(const Context& context, const RouterInput& input,
               const RouterOutput& output) const override;
  void Backward(const Context& context, const RouterInput& input, const RouterOutput& output,
                const RouterBackwardInput& backward, TensorView dx) const override;
  std::vector<LossTerm> Losses(std::span<const double> sums, int64_t tokens,
                               std::span<const double> load, int64_t load_tokens) const override;

 private:
  void DrawExperts(const HashKey& key, std::span<int32_t> chosen) const;
  void FillStatistics(const Context& context, const RouterInput& input,
                      const RouterOutput& output) const;

  const RouterOptions options_;
  const int group_size_;
  const StatisticsLayout layout_;
  const Philox draws_;
  const std::unique_ptr<HashKeys> keys_;
};

// InvalidArgument if a loss is asked for, or groups cannot be.
absl::Status CheckHashOptions(const RouterOptions& options, int64_t num_groups);

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_HASH_ROUTER_H_
