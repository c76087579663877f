#include "routing/losses/z_loss.h"

#include "routing/cpu/score_rows.h"

namespace equipoise::routing {
namespace {

class ZLoss final : public RouterLoss {
 public:
  explicit ZLoss(const ZLossOptions& options) : coefficient_(options.coefficient) {}

  const std::string& name() const override { return name_; }
  int64_t num_statistics() const override { return 1; }
  bool needs_softmax() const override { return true; }

  void Accumulate(const Context& context, const MicroBatch& batch, const ScoreTile& tile,
                  std::span<double> state, std::span<double> sums) const override {
    (void)context, (void)batch, (void)state;
    DispatchFloat(tile.logits.dtype(), [&]<typename T>() {
      for (const T log_sum_exp : tile.log_sum_exp.cpu<T>()) {
        sums[0] += static_cast<double>(log_sum_exp) * static_cast<double>(log_sum_exp);
      }
    });
  }

  void AddGradient(const Context& context, const MicroBatch& batch, const ScoreTile& tile,
                   const StepStatistics& statistics, std::span<double> state,
                   const ScoreTileGradient& gradient) const override {
    (void)context, (void)batch, (void)state;
    const double factor = 2.0 * coefficient_ / static_cast<double>(statistics.batch_tokens);
    const int64_t num_experts = tile.num_experts();
    DispatchFloat(tile.logits.dtype(), [&]<typename T>() {
      const T* softmax = tile.softmax.cpu<T>().data();
      T* dlogits = gradient.logits.cpu<T>().data();
      for (const T log_sum_exp : tile.log_sum_exp.cpu<T>()) {
        cpu::AddScaledRow(static_cast<T>(factor) * log_sum_exp, softmax, num_experts, dlogits);
        softmax += num_experts;
        dlogits += num_experts;
      }
    });
  }

  double Value(std::span<const double> sums, const StepStatistics& statistics) const override {
    return coefficient_ * sums[0] / static_cast<double>(statistics.batch_tokens);
  }

 private:
  const std::string name_ = "z";
  const double coefficient_;
};

}  // namespace

std::unique_ptr<RouterLoss> MakeZLoss(const ZLossOptions& options) {
  return std::make_unique<ZLoss>(options);
}

}  // namespace equipoise::routing
