#include "routing/losses/latent_kl.h"

#include <cmath>

namespace equipoise::routing {
namespace {

class LatentKlLoss final : public RouterLoss {
 public:
  explicit LatentKlLoss(double coefficient) : coefficient_(coefficient) {}

  const std::string& name() const override { return name_; }
  int64_t num_statistics() const override { return 1; }

  void Accumulate(const Context& context, const MicroBatch& batch, const ScoreTile& tile,
                  std::span<double> state, std::span<double> sums) const override {
    (void)context, (void)batch, (void)state;
    DispatchFloat(tile.latent.moments.dtype(), [&]<typename T>() {
      ForEachMoment<T>(tile.latent, [&](size_t, bool is_mean, T value) {
        sums[0] += is_mean ? 0.5 * static_cast<double>(value * value)
                           : 0.5 * static_cast<double>(std::exp(value) - T{1} - value);
      });
    });
  }

  void AddGradient(const Context& context, const MicroBatch& batch, const ScoreTile& tile,
                   const StepStatistics& statistics, std::span<double> state,
                   const ScoreTileGradient& gradient) const override {
    (void)context, (void)batch, (void)state;
    const double factor = coefficient_ / static_cast<double>(statistics.batch_tokens);
    DispatchFloat(tile.latent.moments.dtype(), [&]<typename T>() {
      const auto dmoments = gradient.latent.moments.cpu<T>();
      ForEachMoment<T>(tile.latent, [&](size_t i, bool is_mean, T value) {
        dmoments[i] += static_cast<T>(factor) * (is_mean ? value : (std::exp(value) - T{1}) / T{2});
      });
    });
  }

  double Value(std::span<const double> sums, const StepStatistics& statistics) const override {
    return coefficient_ * sums[0] / static_cast<double>(statistics.batch_tokens);
  }

 private:
  // Calls body(index, whether it is a mean, value).
  template <typename T, typename Body>
  static void ForEachMoment(const LatentTile& latent, Body&& body) {
    const size_t width = static_cast<size_t>(latent.moments.dim(1));
    const size_t dimensions = static_cast<size_t>(latent.dimensions());
    const auto moments = latent.moments.cpu<T>();
    for (size_t begin = 0; begin < moments.size(); begin += width) {
      for (size_t d = 0; d < width; ++d) body(begin + d, d < dimensions, moments[begin + d]);
    }
  }

  const std::string name_ = "latent_kl";
  const double coefficient_;
};

}  // namespace

std::unique_ptr<RouterLoss> MakeLatentKlLoss(double coefficient) {
  return std::make_unique<LatentKlLoss>(coefficient);
}

}  // namespace equipoise::routing
