#include "routing/losses/soft_load.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "routing/cpu/score_rows.h"

namespace equipoise::routing {
namespace {

class SoftLoadLoss final : public RouterLoss {
 public:
  SoftLoadLoss(double coefficient, double temperature, int64_t num_experts)
      : coefficient_(coefficient), sharpness_(1.0 / temperature), num_experts_(num_experts) {}

  const std::string& name() const override { return name_; }
  int64_t num_statistics() const override { return num_experts_; }
  LossScope load_scope() const override { return LossScope::kGlobalBatch; }
  std::string meaning() const override { return absl::StrCat(" times ", sharpness_); }

  void Accumulate(const Context& context, const MicroBatch& batch, const ScoreTile& tile,
                  std::span<double> state, std::span<double> sums) const override {
    (void)batch, (void)state;
    ForEachToken(context, tile, [&]<typename T>(int64_t, T* p) {
      cpu::AddRowToSums(p, num_experts_, sums.data());
    });
  }

  void AddGradient(const Context& context, const MicroBatch& batch, const ScoreTile& tile,
                   const StepStatistics& statistics, std::span<double> state,
                   const ScoreTileGradient& gradient) const override {
    (void)batch, (void)state;
    if (statistics.sums.empty() || statistics.load_tokens == 0) return;
    WorkspaceFrame frame(*context.scratch);
    const TensorView slopes = context.scratch->Allocate(tile.logits.dtype(), {num_experts_});
    const double factor = coefficient_ * sharpness_ / static_cast<double>(statistics.batch_tokens);
    DispatchFloat(slopes.dtype(), [&]<typename U>() {
      for (size_t e = 0; e < statistics.sums.size(); ++e) {
        slopes.cpu<U>()[e] = static_cast<U>(factor * LogOfShare(statistics, e));
      }
    });
    ForEachToken(context, tile, [&]<typename T>(int64_t row, T* p) {
      const T* d = slopes.cpu<T>().data();
      T* out = gradient.latent.similarities.cpu<T>().data() + row * num_experts_;
      cpu::AddSoftmaxGradientRow(p, d, cpu::DotRow(p, d, num_experts_), num_experts_, out);
    });
  }

  double Value(std::span<const double> sums, const StepStatistics& statistics) const override {
    if (statistics.sums.empty() || statistics.load_tokens == 0) return 0.0;
    double total = 0.0;
    for (size_t e = 0; e < sums.size(); ++e) total += sums[e] * LogOfShare(statistics, e);
    return coefficient_ * total / static_cast<double>(statistics.batch_tokens);
  }

 private:
  // ln(E P_e).
  double LogOfShare(const StepStatistics& statistics, size_t e) const {
    const double share = statistics.sums[e] / static_cast<double>(statistics.load_tokens);
    return std::log(static_cast<double>(num_experts_) *
                    std::max(share, std::numeric_limits<double>::min()));
  }

  // Calls body(row, softmax [E]).
  template <typename Body>
  void ForEachToken(const Context& context, const ScoreTile& tile, Body&& body) const {
    WorkspaceFrame frame(*context.scratch);
    const TensorView buffer = context.scratch->Allocate(tile.logits.dtype(), {num_experts_});
    DispatchFloat(buffer.dtype(), [&]<typename T>() {
      const T* similarities = tile.latent.similarities.cpu<T>().data();
      T* p = buffer.cpu<T>().data();
      for (int64_t row = 0; row < tile.num_rows(); ++row, similarities += num_experts_) {
        std::copy(similarities, similarities + num_experts_, p);
        cpu::ScaleRow(static_cast<T>(sharpness_), num_experts_, p);
        cpu::SoftmaxRow(p, num_experts_, p);
        body(row, p);
      }
    });
  }

  const std::string name_ = "soft_load";
  const double coefficient_;
  const double sharpness_;
  const int64_t num_experts_;
};

}  // namespace

std::unique_ptr<RouterLoss> MakeSoftLoadLoss(double coefficient, double temperature,
                                             int64_t num_experts) {
  return std::make_unique<SoftLoadLoss>(coefficient, temperature, num_experts);
}

}  // namespace equipoise::routing
