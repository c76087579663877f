#include "routing/lpr/scorer.h"

#include <cmath>
#include <utility>

#include "routing/cpu/score_rows.h"
#include "routing/lpr/declare.h"
#include "routing/lpr/directions.h"

namespace equipoise::routing {
namespace {

class LprScorer final : public LatentScorer {
 public:
  LprScorer(const RouterOptions& router, LprScorerParts parts, ParameterRegistry& parameters)
      : parts_(std::move(parts)) {
    if (!parts_.learn_temperature) return;
    log_temperature_ = DeclareOfGate(router, parameters, "log_temperature", {1},
                                     {Init::kZeros, /*stddev=*/0.0, /*decay=*/false});
  }

  LatentShape shape() const override {
    const int64_t dimensions = parts_.prototypes->dimensions();
    return {dimensions, parts_.log_variances ? 2 * dimensions : dimensions, scaled()};
  }

  void Prepare(const Context& context, ScoreTile& tile) const override {
    tile.prepared = parts_.encoder->Prepare(context);
    tile.latent.points = parts_.prototypes->Points(context, tile.logits.dtype());
    parts_.similarity->Prepare(context, tile.latent);
  }

  void Forward(const Context& context, ConstTensorView x, const ScoreTile& tile) const override {
    parts_.encoder->Forward(context, x, tile.prepared, tile.latent.moments);
    Restore(context, tile);
  }

  void Restore(const Context& context, const ScoreTile& tile) const override {
    const LatentTile& latent = tile.latent;
    ComputeDirections(context, latent.moments, latent.directions, latent.inverse_norms);
    parts_.similarity->Forward(context, latent);
    if (!scaled()) return;  // the similarities are the logits' memory
    DispatchFloat(tile.logits.dtype(), [&]<typename T>() {
      const T temperature = static_cast<T>(Temperature<T>());
      const auto similarities = latent.similarities.cpu<T>();
      const auto logits = tile.logits.cpu<T>();
      for (size_t i = 0; i < logits.size(); ++i) logits[i] = temperature * similarities[i];
    });
  }

  void Backward(const Context& context, ConstTensorView x, const ScoreTile& tile,
                const ScoreTileGradient& gradient, TensorView dx) const override {
    const LatentTile& latent = tile.latent;
    AddLogitsGradient(tile, gradient);
    parts_.similarity->Backward(context, latent, gradient.latent.similarities, gradient.latent,
                                parts_.prototypes->gradient());
    AddDirectionsGradient(context, latent.directions, latent.inverse_norms,
                          gradient.latent.directions, gradient.latent.moments);
    parts_.encoder->Backward(context, x, gradient.latent.moments, dx);
  }

  void EndStep(const Context& context) const override { parts_.prototypes->EndStep(context); }

 private:
  bool scaled() const { return parts_.learn_temperature || parts_.temperature != 1.0; }

  template <typename T>
  double Temperature() const {
    if (!parts_.learn_temperature) return parts_.temperature;
    return parts_.temperature *
           std::exp(static_cast<double>(log_temperature_->value().cpu<T>()[0]));
  }

  // From logits to similarities, and to the temperature.
  void AddLogitsGradient(const ScoreTile& tile, const ScoreTileGradient& gradient) const {
    DispatchFloat(tile.logits.dtype(), [&]<typename T>() {
      const T temperature = static_cast<T>(Temperature<T>());
      const auto dlogits = gradient.logits.cpu<T>();
      cpu::AddScaledRow(temperature, dlogits.data(), static_cast<int64_t>(dlogits.size()),
                        gradient.latent.similarities.cpu<T>().data());
      if (!parts_.learn_temperature) return;
      // d logit / d log tau = logit.
      double sum = 0.0;
      const int64_t experts = tile.num_experts();
      for (int64_t row = 0; row < tile.num_rows(); ++row) {
        sum += static_cast<double>(cpu::DotRow(
            dlogits.data() + row * experts, tile.logits.cpu<T>().data() + row * experts, experts));
      }
      T& gradient_of_log = log_temperature_->gradient().cpu<T>()[0];
      gradient_of_log = static_cast<T>(static_cast<double>(gradient_of_log) + sum);
    });
  }

  const LprScorerParts parts_;
  const Parameter* log_temperature_ = nullptr;
};

}  // namespace

std::unique_ptr<LatentScorer> MakeLprScorer(const RouterOptions& router, LprScorerParts parts,
                                            ParameterRegistry& parameters) {
  return std::make_unique<LprScorer>(router, std::move(parts), parameters);
}

}  // namespace equipoise::routing
