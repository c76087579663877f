#include "routing/losses/alignment.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "routing/cpu/score_rows.h"

namespace equipoise::routing {
namespace {

class AlignmentLoss final : public RouterLoss {
 public:
  AlignmentLoss(double coefficient, std::shared_ptr<const Prototypes> prototypes,
                std::unique_ptr<LatentNoise> noise)
      : coefficient_(coefficient),
        prototypes_(std::move(prototypes)),
        noise_(std::move(noise)),
        experts_(prototypes_->count()),
        dimensions_(static_cast<size_t>(prototypes_->dimensions())) {
    EQ_CHECK(prototypes_->learned()) << "alignment of fixed prototypes";
  }

  const std::string& name() const override { return name_; }
  int64_t num_statistics() const override {
    return (1 + experts_) * static_cast<int64_t>(dimensions_);
  }
  // The sampled latent of one token, and its noise.
  int64_t num_state() const override { return 2 * static_cast<int64_t>(dimensions_); }
  LossScope load_scope() const override { return LossScope::kGlobalBatch; }

  void Accumulate(const Context& context, const MicroBatch& batch, const ScoreTile& tile,
                  std::span<double> state, std::span<double> sums) const override {
    WorkspaceFrame frame(*context.scratch);
    const int64_t longest = std::max(tile.latent.dimensions(), tile.selected.dim(1));
    const TensorView buffer = context.scratch->Allocate(tile.logits.dtype(), {longest});
    DispatchFloat(tile.logits.dtype(), [&]<typename T>() {
      T* exponentials = buffer.cpu<T>().data();
      for (int64_t row = 0; row < tile.num_rows(); ++row) {
        const int64_t token = batch.first_token + tile.first_row + row;
        SampleLatent<T>(tile, row, batch.step, token, exponentials, state);
        AddTargets<T>(tile, row, state.first(dimensions_), exponentials, sums);
      }
    });
  }

  void AddGradient(const Context&, const MicroBatch&, const ScoreTile&, const StepStatistics&,
                   std::span<double>, const ScoreTileGradient&) const override {}

  void AddParameterGradient(const Context& context, int64_t num_tokens,
                            const StepStatistics& statistics) const override {
    if (num_tokens == 0 || statistics.sums.empty()) return;
    WorkspaceFrame frame(*context.scratch);
    const TensorView gradient = prototypes_->gradient();
    const ConstTensorView points = prototypes_->Points(context, gradient.dtype());
    const double share =
        static_cast<double>(num_tokens) / static_cast<double>(statistics.batch_tokens);
    const double factor = share * coefficient_ / static_cast<double>(gradient.num_elements());
    DispatchFloat(gradient.dtype(), [&]<typename T>() {
      const auto values = points.cpu<T>();
      const auto out = gradient.cpu<T>();
      for (size_t i = 0; i < out.size(); ++i) {
        const double distance = static_cast<double>(values[i]) - Target(statistics.sums, i);
        const double sign = distance > 0.0 ? 1.0 : (distance < 0.0 ? -1.0 : 0.0);
        out[i] += static_cast<T>(factor * sign);
      }
    });
  }

  double Value(std::span<const double>, const StepStatistics& statistics) const override {
    if (statistics.sums.empty()) return 0.0;
    const std::vector<double> points = prototypes_->ToDoubles();
    double sum = 0.0;
    for (size_t i = 0; i < points.size(); ++i) {
      sum += std::fabs(points[i] - Target(statistics.sums, i));
    }
    return coefficient_ * sum / static_cast<double>(points.size());
  }

 private:
  // A's element i, row by row.
  double Target(std::span<const double> sums, size_t i) const {
    return sums[i % dimensions_] + sums[dimensions_ + i];
  }

  // state = z, then the noise it took.
  template <typename T>
  void SampleLatent(const ScoreTile& tile, int64_t row, int64_t step, int64_t token, T* deviations,
                    std::span<double> state) const {
    const int64_t width = tile.latent.moments.dim(1);
    const T* moments = tile.latent.moments.cpu<T>().data() + row * width;
    for (size_t d = 0; d < dimensions_; ++d) state[d] = static_cast<double>(moments[d]);
    if (width == tile.latent.dimensions()) return;
    const std::span<double> noise = state.subspan(dimensions_);
    noise_->Draw(step, token, noise);
    cpu::ExpRow(static_cast<T>(0.5), moments + dimensions_, tile.latent.dimensions(), deviations);
    for (size_t d = 0; d < dimensions_; ++d) {
      state[d] += noise[d] * static_cast<double>(deviations[d]);
    }
  }

  template <typename T>
  void AddTargets(const ScoreTile& tile, int64_t row, std::span<const double> z, T* exponentials,
                  std::span<double> sums) const {
    const int64_t top_k = tile.selected.dim(1);
    const int32_t* ids = tile.selected.cpu<int32_t>().data() + row * top_k;
    const T* similarities = tile.latent.similarities.cpu<T>().data() + row * experts_;
    for (int64_t k = 0; k < top_k; ++k) exponentials[k] = similarities[ids[k]];
    cpu::ExpRow(T{1}, exponentials, top_k, exponentials);
    double total = static_cast<double>(experts_ - top_k);
    for (int64_t k = 0; k < top_k; ++k) total += static_cast<double>(exponentials[k]);
    AddScaled(1.0 / total, z, sums.first(dimensions_));
    for (int64_t k = 0; k < top_k; ++k) {
      const double weight = (static_cast<double>(exponentials[k]) - 1.0) / total;
      const size_t own = dimensions_ * (1 + static_cast<size_t>(ids[k]));
      AddScaled(weight, z, sums.subspan(own, dimensions_));
    }
  }

  static void AddScaled(double factor, std::span<const double> x, std::span<double> sums) {
    cpu::AddScaledRow(factor, x.data(), static_cast<int64_t>(x.size()), sums.data());
  }

  const std::string name_ = "alignment";
  const double coefficient_;
  const std::shared_ptr<const Prototypes> prototypes_;
  const std::unique_ptr<LatentNoise> noise_;
  const int64_t experts_;
  const size_t dimensions_;
};

}  // namespace

std::unique_ptr<RouterLoss> MakeAlignmentLoss(double coefficient,
                                              std::shared_ptr<const Prototypes> prototypes,
                                              std::unique_ptr<LatentNoise> noise) {
  return std::make_unique<AlignmentLoss>(coefficient, std::move(prototypes), std::move(noise));
}

}  // namespace equipoise::routing
