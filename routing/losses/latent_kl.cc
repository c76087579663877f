#include "routing/losses/latent_kl.h"

#include "routing/cpu/score_rows.h"

namespace equipoise::routing {
namespace {

class LatentKlLoss final : public RouterLoss {
 public:
  explicit LatentKlLoss(double coefficient) : coefficient_(coefficient) {}

  const std::string& name() const override { return name_; }
  int64_t num_statistics() const override { return 1; }

  void Accumulate(const Context& context, const MicroBatch& batch, const ScoreTile& tile,
                  std::span<double> state, std::span<double> sums) const override {
    (void)batch, (void)state;
    ForEachToken(context, tile.latent, [&]<typename T>(const Token<T>& token) {
      double sum = 0.0;
      for (size_t d = 0; d < token.means.size(); ++d) {
        sum += static_cast<double>(token.means[d] * token.means[d]);
      }
      for (size_t d = 0; d < token.log_variances.size(); ++d) {
        sum += static_cast<double>(token.variances[d] - T{1} - token.log_variances[d]);
      }
      sums[0] += 0.5 * sum;
    });
  }

  void AddGradient(const Context& context, const MicroBatch& batch, const ScoreTile& tile,
                   const StepStatistics& statistics, std::span<double> state,
                   const ScoreTileGradient& gradient) const override {
    (void)batch, (void)state;
    const double factor = coefficient_ / static_cast<double>(statistics.batch_tokens);
    ForEachToken(context, tile.latent, [&]<typename T>(const Token<T>& token) {
      const T scale = static_cast<T>(factor);
      T* out = gradient.latent.moments.cpu<T>().data() + token.begin;
      for (size_t d = 0; d < token.means.size(); ++d) out[d] += scale * token.means[d];
      out += token.means.size();
      for (size_t d = 0; d < token.log_variances.size(); ++d) {
        out[d] += scale * (token.variances[d] - T{1}) / T{2};
      }
    });
  }

  double Value(std::span<const double> sums, const StepStatistics& statistics) const override {
    return coefficient_ * sums[0] / static_cast<double>(statistics.batch_tokens);
  }

 private:
  template <typename T>
  struct Token {
    size_t begin;  // of its moments
    std::span<const T> means, log_variances, variances;
  };

  // Calls body(token) for each token of a tile.
  template <typename Body>
  static void ForEachToken(const Context& context, const LatentTile& latent, Body&& body) {
    const size_t width = static_cast<size_t>(latent.moments.dim(1));
    const size_t dimensions = static_cast<size_t>(latent.dimensions());
    WorkspaceFrame frame(*context.scratch);
    const TensorView buffer =
        context.scratch->Allocate(latent.moments.dtype(), {latent.dimensions()});
    DispatchFloat(latent.moments.dtype(), [&]<typename T>() {
      const std::span<const T> moments = latent.moments.cpu<T>();
      const std::span<T> variances = buffer.cpu<T>().first(width - dimensions);
      for (size_t begin = 0; begin < moments.size(); begin += width) {
        const auto log_variances = moments.subspan(begin + dimensions, width - dimensions);
        cpu::ExpRow(T{1}, log_variances.data(), static_cast<int64_t>(variances.size()),
                    variances.data());
        body(Token<T>{begin, moments.subspan(begin, dimensions), log_variances, variances});
      }
    });
  }

  const std::string name_ = "latent_kl";
  const double coefficient_;
};

}  // namespace

std::unique_ptr<RouterLoss> MakeLatentKlLoss(double coefficient) {
  return std::make_unique<LatentKlLoss>(coefficient);
}

}  // namespace equipoise::routing
