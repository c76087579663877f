#include "routing/losses/token_isotropy.h"

#include <numeric>

#include "core/ops/gemm.h"
#include "routing/cpu/score_rows.h"

namespace equipoise::routing {
namespace {

// coefficient * (|a|^2 + constant / T) with a = sums / T: what the two have in common.
class SquareOfMeanLoss : public RouterLoss {
 public:
  SquareOfMeanLoss(std::string name, double coefficient, double constant, int64_t dimensions,
                   int64_t num_statistics)
      : dimensions_(dimensions),
        coefficient_(coefficient),
        name_(std::move(name)),
        constant_(constant),
        num_statistics_(num_statistics) {}

  const std::string& name() const override { return name_; }
  int64_t num_statistics() const override { return num_statistics_; }
  LossScope load_scope() const override { return LossScope::kGlobalBatch; }

  double Value(std::span<const double> sums, const StepStatistics& statistics) const override {
    if (statistics.sums.empty() || statistics.load_tokens == 0) return 0.0;
    const std::span<const double> load = statistics.sums;
    const double tokens = static_cast<double>(statistics.batch_tokens);
    const double load_tokens = static_cast<double>(statistics.load_tokens);
    const double product = std::inner_product(sums.begin(), sums.end(), load.begin(), 0.0);
    const double square = std::inner_product(load.begin(), load.end(), load.begin(), 0.0);
    return coefficient_ * (2.0 * product / (tokens * load_tokens) -
                           square / (load_tokens * load_tokens) + constant_ / tokens);
  }

 protected:
  // The gradient of the loss by `sums` is this times statistics.sums; 0 when they are not known.
  double SlopeFactor(const StepStatistics& statistics) const {
    if (statistics.sums.empty() || statistics.load_tokens == 0) return 0.0;
    return coefficient_ * 2.0 / static_cast<double>(statistics.batch_tokens) /
           static_cast<double>(statistics.load_tokens);
  }

  const int64_t dimensions_;

 private:
  const double coefficient_;
  const std::string name_;
  const double constant_;
  const int64_t num_statistics_;
};

class TokenDiversityLoss final : public SquareOfMeanLoss {
 public:
  TokenDiversityLoss(double coefficient, int64_t dimensions)
      : SquareOfMeanLoss("token_diversity", coefficient, -1.0, dimensions,
                         dimensions * dimensions) {}

  void Accumulate(const Context& context, const MicroBatch& batch, const ScoreTile& tile,
                  std::span<double> state, std::span<double> sums) const override {
    (void)batch, (void)state;
    WorkspaceFrame frame(*context.scratch);
    const ConstTensorView directions = tile.latent.directions;
    const TensorView gram =
        context.scratch->Allocate(directions.dtype(), {dimensions_, dimensions_});
    Gemm(context, Transpose::kYes, Transpose::kNo, 1.0, directions, directions, 0.0, gram);
    DispatchFloat(gram.dtype(), [&]<typename T>() {
      cpu::AddRowToSums(gram.cpu<T>().data(), gram.num_elements(), sums.data());
    });
  }

  void AddGradient(const Context& context, const MicroBatch& batch, const ScoreTile& tile,
                   const StepStatistics& statistics, std::span<double> state,
                   const ScoreTileGradient& gradient) const override {
    (void)batch, (void)state;
    const double factor = SlopeFactor(statistics);
    if (factor == 0.0) return;
    WorkspaceFrame frame(*context.scratch);
    const ConstTensorView directions = tile.latent.directions;
    const TensorView gram =
        context.scratch->Allocate(directions.dtype(), {dimensions_, dimensions_});
    DispatchFloat(gram.dtype(), [&]<typename T>() {
      const auto values = gram.cpu<T>();
      // Twice: a direction is on both sides of its product.
      for (size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<T>(2.0 * factor * statistics.sums[i]);
      }
    });
    Gemm(context, Transpose::kNo, Transpose::kNo, 1.0, directions, gram, 1.0,
         gradient.latent.directions);
  }
};

class MeanDirectionLoss final : public SquareOfMeanLoss {
 public:
  MeanDirectionLoss(double coefficient, int64_t dimensions)
      : SquareOfMeanLoss("mean_direction", coefficient, 0.0, dimensions, dimensions) {}

  void Accumulate(const Context& context, const MicroBatch& batch, const ScoreTile& tile,
                  std::span<double> state, std::span<double> sums) const override {
    (void)context, (void)batch, (void)state;
    DispatchFloat(tile.latent.directions.dtype(), [&]<typename T>() {
      const T* row = tile.latent.directions.cpu<T>().data();
      for (int64_t t = 0; t < tile.num_rows(); ++t, row += dimensions_) {
        cpu::AddRowToSums(row, dimensions_, sums.data());
      }
    });
  }

  void AddGradient(const Context& context, const MicroBatch& batch, const ScoreTile& tile,
                   const StepStatistics& statistics, std::span<double> state,
                   const ScoreTileGradient& gradient) const override {
    (void)context, (void)batch, (void)state;
    const double factor = SlopeFactor(statistics);
    if (factor == 0.0) return;
    DispatchFloat(tile.latent.directions.dtype(), [&]<typename T>() {
      T* row = gradient.latent.directions.cpu<T>().data();
      for (int64_t t = 0; t < tile.num_rows(); ++t, row += dimensions_) {
        for (size_t d = 0; d < statistics.sums.size(); ++d) {
          row[d] += static_cast<T>(factor * statistics.sums[d]);
        }
      }
    });
  }
};

}  // namespace

std::unique_ptr<RouterLoss> MakeTokenDiversityLoss(double coefficient, int64_t dimensions) {
  return std::make_unique<TokenDiversityLoss>(coefficient, dimensions);
}

std::unique_ptr<RouterLoss> MakeMeanDirectionLoss(double coefficient, int64_t dimensions) {
  return std::make_unique<MeanDirectionLoss>(coefficient, dimensions);
}

}  // namespace equipoise::routing
