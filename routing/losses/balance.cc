#include "routing/losses/balance.h"

#include <algorithm>
#include <numeric>

#include "core/base/check.h"
#include "routing/cpu/score_rows.h"
#include "routing/statistics.h"

namespace equipoise::routing {
namespace {

class BalanceLoss : public RouterLoss {
 public:
  BalanceLoss(double coefficient, int num_experts)
      : coefficient_(coefficient), num_experts_(num_experts) {}
  const std::string& name() const override { return name_; }

 protected:
  // E * f_e is this many times the copies of e; 0 where there are none.
  double LoadFactor(std::span<const double> load) const {
    const double copies = std::accumulate(load.begin(), load.end(), 0.0);
    return copies > 0.0 ? static_cast<double>(num_experts_) / copies : 0.0;
  }

  // gradient.probabilities += coefficient * E * f / batch_tokens for rows [begin, end) of the tile,
  // f from `load` copies.
  void AddLoadGradient(std::span<const double> load, int64_t batch_tokens, int64_t begin,
                       int64_t end, const ScoreTileGradient& gradient) const {
    const double factor = coefficient_ * LoadFactor(load) / static_cast<double>(batch_tokens);
    DispatchFloat(gradient.probabilities.dtype(), [&]<typename T>() {
      T* dp = gradient.probabilities.cpu<T>().data();
      for (int64_t row = begin; row < end; ++row) {
        T* out = dp + row * num_experts_;
        for (size_t e = 0; e < load.size(); ++e) out[e] += static_cast<T>(factor * load[e]);
      }
    });
  }

  // sums[e] += p_te for rows [begin, end) of the tile.
  void AddProbabilities(const ScoreTile& tile, int64_t begin, int64_t end,
                        std::span<double> sums) const {
    DispatchFloat(tile.probabilities.dtype(), [&]<typename T>() {
      const T* p = tile.probabilities.cpu<T>().data();
      for (int64_t row = begin; row < end; ++row) {
        cpu::AddRowToSums(p + row * num_experts_, num_experts_, sums.data());
      }
    });
  }

  const std::string name_ = "balance";
  const double coefficient_;
  const int64_t num_experts_;
};

// Scopes whose load is known only when all ranks' sums are added up.
class ReducedBalanceLoss final : public BalanceLoss {
 public:
  ReducedBalanceLoss(const BalanceLossOptions& options, int num_experts)
      : BalanceLoss(options.coefficient, num_experts), scope_(options.scope) {}

  int64_t num_statistics() const override { return num_experts_; }
  LossScope load_scope() const override { return scope_; }

  void Accumulate(const Context& context, const MicroBatch& batch, const ScoreTile& tile,
                  std::span<double> state, std::span<double> sums) const override {
    (void)context, (void)batch, (void)state;
    AddProbabilities(tile, 0, tile.num_rows(), sums);
  }

  void AddGradient(const Context& context, const MicroBatch& batch, const ScoreTile& tile,
                   const StepStatistics& statistics, std::span<double> state,
                   const ScoreTileGradient& gradient) const override {
    (void)context, (void)batch, (void)state;
    if (statistics.load.empty() || statistics.load_tokens == 0) return;
    AddLoadGradient(statistics.load, statistics.batch_tokens, 0, tile.num_rows(), gradient);
  }

  double Value(std::span<const double> sums, const StepStatistics& statistics) const override {
    if (statistics.load.empty() || statistics.load_tokens == 0) return 0.0;
    double total = 0.0;
    for (size_t e = 0; e < sums.size(); ++e) total += statistics.load[e] * sums[e];
    return coefficient_ * LoadFactor(statistics.load) * total /
           static_cast<double>(statistics.batch_tokens);
  }

 private:
  const LossScope scope_;
};

// Scopes whose load is that of a run of rows of the micro-batch: a sequence, or all of it.
// State: copies [E], then sums of probabilities [E], of the current group.
class GroupBalanceLoss final : public BalanceLoss {
 public:
  GroupBalanceLoss(const BalanceLossOptions& options, int num_experts)
      : BalanceLoss(options.coefficient, num_experts),
        by_sequence_(options.scope == LossScope::kSequence) {}

  int64_t num_statistics() const override { return 1; }
  int64_t num_state() const override { return 2 * num_experts_; }

  void Accumulate(const Context& context, const MicroBatch& batch, const ScoreTile& tile,
                  std::span<double> state, std::span<double> sums) const override {
    (void)context;
    const auto load = state.first(static_cast<size_t>(num_experts_));
    const auto probabilities = state.subspan(static_cast<size_t>(num_experts_));
    ForEachGroup(batch, tile, [&](int64_t group_begin, int64_t begin, int64_t end) {
      AddProbabilities(tile, begin, end, probabilities);
      const int64_t group_end = group_begin + GroupTokens(batch);
      if (tile.first_row + end < group_end) return;
      LoadOfRows(batch, group_begin, group_end, load);
      double total = 0.0;
      for (size_t e = 0; e < load.size(); ++e) total += load[e] * probabilities[e];
      // Tokens of the group times E * sum f P: the mean P's division by tokens cancels.
      sums[0] += LoadFactor(load) * total;
      std::fill(probabilities.begin(), probabilities.end(), 0.0);
    });
  }

  void AddGradient(const Context& context, const MicroBatch& batch, const ScoreTile& tile,
                   const StepStatistics& statistics, std::span<double> state,
                   const ScoreTileGradient& gradient) const override {
    (void)context;
    const auto load = state.first(static_cast<size_t>(num_experts_));
    ForEachGroup(batch, tile, [&](int64_t group_begin, int64_t begin, int64_t end) {
      const int64_t group_tokens = GroupTokens(batch);
      if (tile.first_row + begin == group_begin) {
        LoadOfRows(batch, group_begin, group_begin + group_tokens, load);
      }
      AddLoadGradient(load, statistics.batch_tokens, begin, end, gradient);
    });
  }

  double Value(std::span<const double> sums, const StepStatistics& statistics) const override {
    return coefficient_ * sums[0] / static_cast<double>(statistics.batch_tokens);
  }

 private:
  int64_t GroupTokens(const MicroBatch& batch) const {
    return by_sequence_ ? batch.sequence_length : batch.num_tokens;
  }

  // Calls body(first row of the group in the micro-batch, begin, end) for each piece of a group
  // that lies in the tile, [begin, end) being rows of the tile.
  template <typename Body>
  void ForEachGroup(const MicroBatch& batch, const ScoreTile& tile, Body&& body) const {
    const int64_t group_tokens = GroupTokens(batch);
    for (int64_t begin = 0; begin < tile.num_rows();) {
      const int64_t row = tile.first_row + begin;
      const int64_t group_begin = row / group_tokens * group_tokens;
      const int64_t end = std::min(tile.num_rows(), group_begin + group_tokens - tile.first_row);
      body(group_begin, begin, end);
      begin = end;
    }
  }

  // load[e] = copies of e among rows [begin, end) of the micro-batch.
  static void LoadOfRows(const MicroBatch& batch, int64_t begin, int64_t end,
                         std::span<double> load) {
    std::fill(load.begin(), load.end(), 0.0);
    CountCopies(batch.selected.Rows(begin, end).cpu<int32_t>(), load);
  }

  const bool by_sequence_;
};

}  // namespace

std::unique_ptr<RouterLoss> MakeBalanceLoss(const BalanceLossOptions& options, int num_experts) {
  switch (options.scope) {
    case LossScope::kGlobalBatch:
    case LossScope::kRunning:
      return std::make_unique<ReducedBalanceLoss>(options, num_experts);
    case LossScope::kMicroBatch:
    case LossScope::kSequence:
      return std::make_unique<GroupBalanceLoss>(options, num_experts);
  }
  EQ_CHECK(false) << "loss scope " << static_cast<int>(options.scope);
  return nullptr;
}

}  // namespace equipoise::routing
