#include "routing/losses/locality.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "routing/cpu/score_rows.h"

namespace equipoise::routing {
namespace {

class LocalityLoss final : public RouterLoss {
 public:
  LocalityLoss(const LocalityOptions& options, int num_experts)
      : coefficient_(options.loss.coefficient),
        num_nodes_(static_cast<size_t>(options.num_nodes)),
        num_experts_(static_cast<size_t>(num_experts)),
        targets_(LocalisedTargets(options, num_experts)) {}

  const std::string& name() const override { return name_; }
  int64_t num_statistics() const override {
    return static_cast<int64_t>(num_nodes_ * (1 + num_experts_));
  }
  LossScope load_scope() const override { return LossScope::kGlobalBatch; }

  void Accumulate(const Context& context, const MicroBatch& batch, const ScoreTile& tile,
                  std::span<double> state, std::span<double> sums) const override {
    (void)context, (void)state;
    const int64_t experts = tile.num_experts();
    DispatchFloat(tile.probabilities.dtype(), [&]<typename T>() {
      const T* p = tile.probabilities.cpu<T>().data();
      for (int64_t row = 0; row < tile.num_rows(); ++row, p += experts) {
        const size_t node = NodeOf(batch, tile.first_row + row);
        sums[node] += 1.0;
        cpu::AddRowToSums(p, experts, OfNode(sums, node).data());
      }
    });
  }

  void AddGradient(const Context& context, const MicroBatch& batch, const ScoreTile& tile,
                   const StepStatistics& statistics, std::span<double> state,
                   const ScoreTileGradient& gradient) const override {
    (void)state;
    if (statistics.sums.empty()) return;
    WorkspaceFrame frame(*context.scratch);
    const int64_t experts = tile.num_experts();
    const TensorView slopes = context.scratch->Allocate(
        gradient.probabilities.dtype(), {static_cast<int64_t>(num_nodes_), experts});
    const double factor = coefficient_ / static_cast<double>(statistics.batch_tokens);
    DispatchFloat(slopes.dtype(), [&]<typename T>() {
      const auto slope = slopes.cpu<T>();
      for (size_t i = 0; i < slope.size(); ++i) {
        slope[i] = static_cast<T>(factor * LogOfRatio(statistics.sums, i));
      }
      T* dp = gradient.probabilities.cpu<T>().data();
      for (int64_t row = 0; row < tile.num_rows(); ++row, dp += experts) {
        const size_t node = NodeOf(batch, tile.first_row + row);
        cpu::AddScaledRow(T{1}, slope.data() + node * num_experts_, experts, dp);
      }
    });
  }

  double Value(std::span<const double> sums, const StepStatistics& statistics) const override {
    if (statistics.sums.empty()) return 0.0;
    double total = 0.0;
    for (size_t i = 0; i < targets_.size(); ++i) {
      total += sums[num_nodes_ + i] * LogOfRatio(statistics.sums, i);
    }
    return coefficient_ * total / static_cast<double>(statistics.batch_tokens);
  }

 private:
  static size_t NodeOf(const MicroBatch& batch, int64_t row) {
    if (batch.nodes.absent()) return 0;
    return static_cast<size_t>(batch.nodes.cpu<int32_t>()[static_cast<size_t>(row)]);
  }

  std::span<double> OfNode(std::span<double> sums, size_t node) const {
    return sums.subspan(num_nodes_ + node * num_experts_, num_experts_);
  }

  // ln(P / l) of entry i of [N, E]; 0 for a node of which nothing is known.
  double LogOfRatio(std::span<const double> sums, size_t i) const {
    const double tokens = sums[i / num_experts_];
    if (tokens == 0.0) return 0.0;
    const double share = sums[num_nodes_ + i] / tokens;
    return std::log(std::max(share, std::numeric_limits<double>::min()) / targets_[i]);
  }

  const std::string name_ = "locality";
  const double coefficient_;
  const size_t num_nodes_;
  const size_t num_experts_;
  const std::vector<double> targets_;  // [N, E]
};

}  // namespace

std::unique_ptr<RouterLoss> MakeLocalityLoss(const LocalityOptions& options, int num_experts) {
  return std::make_unique<LocalityLoss>(options, num_experts);
}

}  // namespace equipoise::routing
