// Router "nearest": every expert is a point of the hidden space, a token goes to the K nearest;
// gates are the softmax of -sharpness |x - w_e|^2 / 2. Parameter: `<prefix>gate.weight` [E, H], the
// points.
//
// Settings:
//   sharpness (double)               above 0
//   bias, groups, jitter, entropy_loss    shared pieces

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "routing/option_problem.h"
#include "routing/score_router.h"
#include "routing/score_settings.h"

namespace equipoise::routing {
namespace {

template <typename T, typename View>
auto& At(View view, int64_t row, int64_t column) {
  return view.template cpu<T>()[static_cast<size_t>(row * view.dim(1) + column)];
}

class DistanceLogits final : public LogitSource {
 public:
  DistanceLogits(const Parameter* points, double sharpness)
      : points_(points), sharpness_(sharpness) {}

  void Forward(const Context&, ConstTensorView x, TensorView logits) const override {
    DispatchFloat(x.dtype(), [&]<typename T>() {
      for (int64_t row = 0; row < logits.dim(0); ++row) {
        for (int64_t expert = 0; expert < logits.dim(1); ++expert) {
          T square{0};
          for (int64_t i = 0; i < x.dim(1); ++i) {
            const T difference = At<T>(x, row, i) - At<T>(points_->value(), expert, i);
            square += difference * difference;
          }
          At<T>(logits, row, expert) = -static_cast<T>(sharpness_) * square / 2;
        }
      }
    });
  }

  // dl/dw = sharpness (x - w), dl/dx = -dl/dw.
  void Backward(const Context&, ConstTensorView x, ConstTensorView dlogits,
                TensorView dx) const override {
    DispatchFloat(x.dtype(), [&]<typename T>() {
      for (int64_t row = 0; row < dlogits.dim(0); ++row) {
        for (int64_t expert = 0; expert < dlogits.dim(1); ++expert) {
          const T scale = static_cast<T>(sharpness_) * At<T>(dlogits, row, expert);
          for (int64_t i = 0; i < x.dim(1); ++i) {
            const T difference = At<T>(x, row, i) - At<T>(points_->value(), expert, i);
            At<T>(points_->gradient(), expert, i) += scale * difference;
            At<T>(dx, row, i) -= scale * difference;
          }
        }
      }
    });
  }

 private:
  const Parameter* points_;
  const double sharpness_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Router>> MakeNearestRouter(const RouterOptions& options,
                                                          ParameterRegistry& parameters) {
  const double sharpness = options.settings.GetDouble("sharpness");
  if (!(sharpness > 0.0)) {
    return OptionError(options.kind,
                       {"sharpness", {}, absl::StrCat("is ", sharpness, ", must be above 0")});
  }
  EQ_ASSIGN_OR_RETURN(ScoreRouterParts parts, ReadScoreParts(options));
  parts.logits = std::make_unique<DistanceLogits>(DeclareGate(options, parameters), sharpness);
  return std::make_unique<ScoreRouter>(options, std::move(parts));
}

}  // namespace equipoise::routing
