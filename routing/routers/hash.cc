// Router "hash": a token's experts are a fixed random function of its vocabulary id (Roller et al.,
// "Hash Layers for Large Sparse Models", 2021, random hash): K different experts for each id, drawn
// from (seed, layer, id), every gate 1/K. No parameters, no gradient, no settings. Balance is that
// of the text: an expert that drew a frequent id is busy.
//
// It has no scores, so auxiliary losses cannot be asked of it. The entropy it reports is ln K.

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/rng.h"
#include "routing/capacity.h"
#include "routing/router.h"
#include "routing/statistics.h"

namespace equipoise::routing {
namespace {

class HashRouter final : public Router {
 public:
  explicit HashRouter(const RouterOptions& options)
      : options_(options),
        layout_{options.num_experts},
        draws_(StreamKey(options.seed, absl::StrCat("router.hash.", options.layer))) {}

  const std::string& kind() const override { return options_.kind; }
  int64_t max_copies_per_token() const override { return options_.top_k; }
  int64_t num_statistics() const override { return layout_.size(); }
  int64_t saved_per_token() const override { return 0; }
  LossScope statistics_scope() const override { return LossScope::kMicroBatch; }

  void Forward(const Context& context, const RouterInput& input,
               const RouterOutput& output) const override {
    const auto token_ids = input.token_ids.cpu<int32_t>();
    const auto experts = output.expert_ids.cpu<int32_t>();
    const size_t top_k = static_cast<size_t>(options_.top_k);
    EQ_CHECK_EQ(experts.size(), token_ids.size() * top_k);
    for (size_t t = 0; t < token_ids.size(); ++t) {
      DrawExperts(token_ids[t], experts.subspan(t * top_k, top_k));
    }
    DispatchFloat(output.gates.dtype(), [&]<typename T>() {
      const auto gates = output.gates.cpu<T>();
      std::fill(gates.begin(), gates.end(), T{1} / static_cast<T>(options_.top_k));
    });
    FillStatistics(context, input, output);
  }

  void Backward(const Context&, const RouterInput&, const RouterOutput&, const RouterBackwardInput&,
                TensorView) const override {}

  std::vector<LossTerm> Losses(std::span<const double>, int64_t, std::span<const double>,
                               int64_t) const override {
    return {};
  }

 private:
  // K different experts, ascending (all gates are equal). Floyd's sampling (Bentley and Floyd,
  // CACM 30(9), 1987): each K-subset is equally likely, with K draws.
  void DrawExperts(int32_t token_id, std::span<int32_t> chosen) const {
    const int64_t first = options_.num_experts - options_.top_k;
    for (size_t k = 0; k < chosen.size(); ++k) {
      const int64_t last = first + static_cast<int64_t>(k);
      const auto drawn = static_cast<int32_t>(
          draws_.Below(static_cast<uint64_t>(last) + 1, static_cast<uint32_t>(token_id), k));
      const auto earlier = chosen.first(k);
      const bool taken = std::find(earlier.begin(), earlier.end(), drawn) != earlier.end();
      chosen[k] = taken ? static_cast<int32_t>(last) : drawn;
    }
    std::sort(chosen.begin(), chosen.end());
  }

  void FillStatistics(const Context& context, const RouterInput& input,
                      const RouterOutput& output) const {
    const auto sums = output.partials.cpu<double>();
    EQ_CHECK_EQ(sums.size(), static_cast<size_t>(layout_.size()));
    std::fill(sums.begin(), sums.end(), 0.0);
    CountCopies(output.expert_ids.cpu<int32_t>(), layout_.Counts(sums));
    const double num_tokens = static_cast<double>(input.token_ids.num_elements());
    sums[static_cast<size_t>(layout_.entropy())] = num_tokens * std::log(options_.top_k);
    sums[static_cast<size_t>(layout_.dropped())] =
        static_cast<double>(ApplyCapacity(context, options_.capacity, input.sequence_length,
                                          options_.num_experts, output.expert_ids, output.gates));
  }

  const RouterOptions options_;
  const StatisticsLayout layout_;
  const Philox draws_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Router>> MakeHashRouter(const RouterOptions& options,
                                                       ParameterRegistry& parameters) {
  (void)parameters;
  if (options.balance_loss.coefficient > 0.0 || options.z_loss.coefficient > 0.0) {
    return absl::InvalidArgumentError(
        "router hash has no scores, so no auxiliary loss can change it: set the coefficients of "
        "balance_loss and z_loss to 0");
  }
  return std::make_unique<HashRouter>(options);
}

}  // namespace equipoise::routing
