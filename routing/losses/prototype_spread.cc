#include "routing/losses/prototype_spread.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "core/ops/gemm.h"
#include "routing/lpr/directions.h"

namespace equipoise::routing {
namespace {

// A loss of the matrix of cosines c = p p^T [E, E].
class CosinesLoss : public RouterLoss {
 public:
  CosinesLoss(std::string name, double coefficient, std::shared_ptr<const Prototypes> prototypes)
      : name_(std::move(name)), coefficient_(coefficient), prototypes_(std::move(prototypes)) {
    EQ_CHECK(prototypes_->learned()) << name_ << " of fixed prototypes";
  }

  const std::string& name() const override { return name_; }
  int64_t num_statistics() const override { return 0; }
  void Accumulate(const Context&, const MicroBatch&, const ScoreTile&, std::span<double>,
                  std::span<double>) const override {}
  void AddGradient(const Context&, const MicroBatch&, const ScoreTile&, const StepStatistics&,
                   std::span<double>, const ScoreTileGradient&) const override {}

  void AddParameterGradient(const Context& context, int64_t num_tokens,
                            const StepStatistics& statistics) const override {
    if (num_tokens == 0) return;
    WorkspaceFrame frame(*context.scratch);
    Workspace& scratch = *context.scratch;
    const TensorView gradient = prototypes_->gradient();
    const DType dtype = gradient.dtype();
    const int64_t count = prototypes_->count();
    const TensorView directions = scratch.Allocate(dtype, gradient.shape());
    const TensorView ddirections = scratch.Allocate(dtype, gradient.shape());
    const TensorView inverse_norms = scratch.Allocate(dtype, {count});
    const TensorView cosines = scratch.Allocate(dtype, {count, count});
    ComputeDirections(context, prototypes_->Points(context, dtype), directions, inverse_norms);
    LinearForward(context, directions, directions, cosines);
    const double share =
        static_cast<double>(num_tokens) / static_cast<double>(statistics.batch_tokens);
    DispatchFloat(dtype, [&]<typename T>() {
      const auto values = cosines.cpu<T>();
      std::vector<double> slopes(values.begin(), values.end());
      ReplaceBySlopes(slopes);
      for (size_t i = 0; i < slopes.size(); ++i) {
        // Twice: a direction is on both sides of its cosines.
        values[i] = static_cast<T>(2.0 * share * coefficient_ * slopes[i]);
      }
    });
    Gemm(context, Transpose::kNo, Transpose::kNo, 1.0, cosines, directions, 0.0, ddirections);
    AddDirectionsGradient(context, directions, inverse_norms, ddirections, gradient);
  }

  double Value(std::span<const double>, const StepStatistics&) const override {
    const std::vector<double> points = prototypes_->ToDoubles();
    const size_t width = static_cast<size_t>(prototypes_->dimensions());
    const size_t count = static_cast<size_t>(prototypes_->count());
    const auto dot = [&](size_t e, size_t f) {
      double sum = 0.0;
      for (size_t d = 0; d < width; ++d) sum += points[e * width + d] * points[f * width + d];
      return sum;
    };
    std::vector<double> lengths;
    for (size_t e = 0; e < count; ++e) lengths.push_back(std::max(std::sqrt(dot(e, e)), 1e-8));
    std::vector<double> cosines;
    for (size_t e = 0; e < count; ++e) {
      for (size_t f = 0; f < count; ++f) cosines.push_back(dot(e, f) / (lengths[e] * lengths[f]));
    }
    return coefficient_ * ValueOf(cosines);
  }

 protected:
  // Of cosines [E, E], without the coefficient. Slopes are symmetric; the diagonal's do not matter.
  virtual double ValueOf(const std::vector<double>& cosines) const = 0;
  virtual void ReplaceBySlopes(std::vector<double>& cosines) const = 0;
  size_t count() const { return static_cast<size_t>(prototypes_->count()); }

 private:
  const std::string name_;
  const double coefficient_;
  const std::shared_ptr<const Prototypes> prototypes_;
};

class PrototypeDiversityLoss final : public CosinesLoss {
 public:
  PrototypeDiversityLoss(double coefficient, std::shared_ptr<const Prototypes> prototypes)
      : CosinesLoss("prototype_diversity", coefficient, std::move(prototypes)) {}

 private:
  double ValueOf(const std::vector<double>& cosines) const override {
    double sum = 0.0;
    for (size_t i = 0; i < cosines.size(); ++i) {
      const double error = cosines[i] - (i % (count() + 1) == 0 ? 1.0 : 0.0);
      sum += error * error;
    }
    return sum / static_cast<double>(cosines.size());
  }
  void ReplaceBySlopes(std::vector<double>& cosines) const override {
    const double factor = 2.0 / static_cast<double>(cosines.size());
    for (double& cosine : cosines) cosine *= factor;
  }
};

class PrototypeRepulsionLoss final : public CosinesLoss {
 public:
  PrototypeRepulsionLoss(double coefficient, double beta,
                         std::shared_ptr<const Prototypes> prototypes)
      : CosinesLoss("prototype_repulsion", coefficient, std::move(prototypes)), beta_(beta) {}

 private:
  // exp(beta (cosine - 1)) of each pair, 0 on the diagonal; returns the sum.
  double ReplaceByWeights(std::vector<double>& cosines) const {
    double sum = 0.0;
    for (size_t i = 0; i < cosines.size(); ++i) {
      cosines[i] = i % (count() + 1) == 0 ? 0.0 : std::exp(beta_ * (cosines[i] - 1.0));
      sum += cosines[i];
    }
    return sum;
  }

  double ValueOf(const std::vector<double>& cosines) const override {
    if (count() < 2) return 0.0;
    std::vector<double> weights = cosines;
    const double pairs = static_cast<double>(count()) * static_cast<double>(count() - 1);
    return 1.0 + std::log(ReplaceByWeights(weights) / pairs) / beta_;
  }
  void ReplaceBySlopes(std::vector<double>& cosines) const override {
    const double sum = ReplaceByWeights(cosines);
    if (count() < 2) return;
    for (double& weight : cosines) weight /= sum;
  }

  const double beta_;
};

}  // namespace

std::unique_ptr<RouterLoss> MakePrototypeDiversityLoss(
    double coefficient, std::shared_ptr<const Prototypes> prototypes) {
  return std::make_unique<PrototypeDiversityLoss>(coefficient, std::move(prototypes));
}

std::unique_ptr<RouterLoss> MakePrototypeRepulsionLoss(
    double coefficient, double beta, std::shared_ptr<const Prototypes> prototypes) {
  return std::make_unique<PrototypeRepulsionLoss>(coefficient, beta, std::move(prototypes));
}

}  // namespace equipoise::routing
