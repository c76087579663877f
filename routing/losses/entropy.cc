#include "routing/losses/entropy.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace equipoise::routing {
namespace {

class EntropyLoss final : public RouterLoss {
 public:
  explicit EntropyLoss(const EntropyLossOptions& options) : options_(options) {}

  const std::string& name() const override { return name_; }
  int64_t num_statistics() const override { return 1; }

  void Accumulate(const Context& context, const MicroBatch& batch, const ScoreTile& tile,
                  std::span<double> state, std::span<double> sums) const override {
    (void)context, (void)batch, (void)state;
    const size_t experts = static_cast<size_t>(tile.num_experts());
    DispatchFloat(tile.probabilities.dtype(), [&]<typename T>() {
      const std::span<const T> p = tile.probabilities.cpu<T>();
      for (size_t begin = 0; begin < p.size(); begin += experts) {
        sums[0] += TsallisEntropy<T>(options_.order, p.subspan(begin, experts));
      }
    });
  }

  void AddGradient(const Context& context, const MicroBatch& batch, const ScoreTile& tile,
                   const StepStatistics& statistics, std::span<double> state,
                   const ScoreTileGradient& gradient) const override {
    (void)context, (void)batch, (void)state;
    const double q = options_.order;
    const double factor = -options_.coefficient / static_cast<double>(statistics.batch_tokens);
    DispatchFloat(tile.probabilities.dtype(), [&]<typename T>() {
      const auto p = tile.probabilities.cpu<T>();
      const auto dp = gradient.probabilities.cpu<T>();
      for (size_t i = 0; i < p.size(); ++i) {
        // What has underflowed is multiplied by p = 0 later; its logarithm must be finite.
        const double value =
            std::max(static_cast<double>(p[i]), std::numeric_limits<double>::min());
        const double slope =
            q == 1.0 ? std::log(value) + 1.0 : q / (q - 1.0) * std::pow(value, q - 1.0);
        dp[i] += static_cast<T>(factor * slope);
      }
    });
  }

  double Value(std::span<const double> sums, const StepStatistics& statistics) const override {
    return options_.coefficient * sums[0] / static_cast<double>(statistics.batch_tokens);
  }

 private:
  const std::string name_ = "entropy";
  const EntropyLossOptions options_;
};

}  // namespace

template <typename T>
double TsallisEntropy(double order, std::span<const T> p) {
  double sum = 0.0;
  for (const T value : p) {
    const double x = static_cast<double>(value);
    sum += order == 1.0 ? (x == 0.0 ? 0.0 : x * std::log(x)) : std::pow(x, order);
  }
  return order == 1.0 ? -sum : (1.0 - sum) / (order - 1.0);
}

template double TsallisEntropy<float>(double, std::span<const float>);
template double TsallisEntropy<double>(double, std::span<const double>);

double LargestEntropy(double order, int64_t num_experts) {
  const double experts = static_cast<double>(num_experts);
  if (order == 1.0) return std::log(experts);
  return (1.0 - std::pow(experts, 1.0 - order)) / (order - 1.0);
}

std::unique_ptr<RouterLoss> MakeEntropyLoss(const EntropyLossOptions& options) {
  return std::make_unique<EntropyLoss>(options);
}

}  // namespace equipoise::routing
