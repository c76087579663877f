#include "routing/losses/orthogonality.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace equipoise::routing {
namespace {

// Rows shorter than this are not stretched to unit length.
constexpr double kShortestRow = 1e-12;

class OrthogonalityLoss final : public RouterLoss {
 public:
  OrthogonalityLoss(const OrthogonalityLossOptions& options, const Parameter* weight)
      : options_(options), weight_(weight) {}

  const std::string& name() const override { return name_; }
  int64_t num_statistics() const override { return 1; }

  void Accumulate(const Context& context, const MicroBatch& batch, const ScoreTile& tile,
                  std::span<double> state, std::span<double> sums) const override {
    (void)state;
    if (tile.first_row != 0) return;  // once a pass, for all its tokens
    WorkspaceFrame frame(*context.scratch);
    const Rows rows = MakeRows(context);
    double value = 0.0;
    for (size_t e = 0; e < rows.count; ++e) {
      for (size_t f = 0; f < rows.count; ++f) {
        const double gap = Gap(rows, e, f);
        value += options_.form == OrthogonalityForm::kCosine ? gap * gap : std::fabs(gap);
      }
    }
    sums[0] += static_cast<double>(batch.num_tokens) * Scale(rows) * value;
  }

  void AddGradient(const Context& context, const MicroBatch& batch, const ScoreTile& tile,
                   const StepStatistics& statistics, std::span<double> state,
                   const ScoreTileGradient& gradient) const override {
    (void)context, (void)batch, (void)tile, (void)statistics, (void)state, (void)gradient;
  }

  void AddParameterGradient(const Context& context, int64_t num_tokens,
                            const StepStatistics& statistics) const override {
    if (num_tokens == 0) return;
    WorkspaceFrame frame(*context.scratch);
    const Rows rows = MakeRows(context);
    const double share =
        static_cast<double>(num_tokens) / static_cast<double>(statistics.batch_tokens);
    const auto row_gradient =
        context.scratch->Allocate(DType::kF64, {static_cast<int64_t>(rows.width)}).cpu<double>();
    for (size_t e = 0; e < rows.count; ++e) {
      std::fill(row_gradient.begin(), row_gradient.end(), 0.0);
      for (size_t f = 0; f < rows.count; ++f) {
        const double slope = options_.coefficient * share * Scale(rows) * Slope(Gap(rows, e, f));
        const auto other = rows.Row(f);
        for (size_t h = 0; h < rows.width; ++h) row_gradient[h] += slope * other[h];
      }
      ThroughLength(rows, e, row_gradient);
      AddToRow(e, row_gradient);
    }
  }

  double Value(std::span<const double> sums, const StepStatistics& statistics) const override {
    return options_.coefficient * sums[0] / static_cast<double>(statistics.batch_tokens);
  }

 private:
  // The matrix in double, its rows of unit length for kCosine.
  struct Rows {
    size_t count = 0;
    size_t width = 0;
    std::span<double> values;
    std::span<double> lengths;

    std::span<const double> Row(size_t e) const { return values.subspan(e * width, width); }
  };

  Rows MakeRows(const Context& context) const {
    const ConstTensorView weight = weight_->value();
    Rows rows;
    rows.count = static_cast<size_t>(weight.dim(0));
    rows.width = static_cast<size_t>(weight.dim(1));
    rows.values = context.scratch->Allocate(DType::kF64, weight.shape()).cpu<double>();
    rows.lengths = context.scratch->Allocate(DType::kF64, {weight.dim(0)}).cpu<double>();
    DispatchFloat(weight.dtype(), [&]<typename T>() {
      const auto from = weight.cpu<T>();
      std::copy(from.begin(), from.end(), rows.values.begin());
    });
    for (size_t e = 0; e < rows.count; ++e) {
      const auto row = rows.values.subspan(e * rows.width, rows.width);
      rows.lengths[e] = std::max(
          kShortestRow, std::sqrt(std::inner_product(row.begin(), row.end(), row.begin(), 0.0)));
      if (options_.form != OrthogonalityForm::kCosine) continue;
      for (double& value : row) value /= rows.lengths[e];
    }
    return rows;
  }

  static double Gap(const Rows& rows, size_t e, size_t f) {
    const auto a = rows.Row(e);
    const auto b = rows.Row(f);
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0) - (e == f ? 1.0 : 0.0);
  }

  double Scale(const Rows& rows) const {
    if (options_.form == OrthogonalityForm::kGram) return 1.0;
    return 1.0 / (static_cast<double>(rows.count) * static_cast<double>(rows.count));
  }

  // Of row e by the entry (e, f) and its mirror image, over row f.
  double Slope(double gap) const {
    if (options_.form == OrthogonalityForm::kCosine) return 4.0 * gap;
    return gap == 0.0 ? 0.0 : std::copysign(2.0, gap);
  }

  // Turns the gradient by a row of unit length into that by the row itself.
  void ThroughLength(const Rows& rows, size_t e, std::span<double> gradient) const {
    if (options_.form != OrthogonalityForm::kCosine) return;
    const auto row = rows.Row(e);
    const double along = std::inner_product(row.begin(), row.end(), gradient.begin(), 0.0);
    for (size_t h = 0; h < rows.width; ++h) {
      gradient[h] = (gradient[h] - along * row[h]) / rows.lengths[e];
    }
  }

  void AddToRow(size_t e, std::span<const double> gradient) const {
    const TensorView all = weight_->gradient();
    DispatchFloat(all.dtype(), [&]<typename T>() {
      const auto to = all.cpu<T>().subspan(e * gradient.size(), gradient.size());
      for (size_t h = 0; h < to.size(); ++h) to[h] += static_cast<T>(gradient[h]);
    });
  }

  const std::string name_ = "orthogonality";
  const OrthogonalityLossOptions options_;
  const Parameter* weight_;
};

}  // namespace

std::unique_ptr<RouterLoss> MakeOrthogonalityLoss(const OrthogonalityLossOptions& options,
                                                  const Parameter* weight) {
  return std::make_unique<OrthogonalityLoss>(options, weight);
}

}  // namespace equipoise::routing
