#include "routing/block_logits.h"

#include <cmath>
#include <numeric>
#include <span>

#include "absl/strings/str_cat.h"
#include "routing/option_problem.h"

namespace equipoise::routing {
namespace {

template <typename T>
T SumOf(std::span<const T> block) {
  return std::accumulate(block.begin(), block.end(), T{0});
}

class ReluMeanLogits final : public LogitSource {
 public:
  void Forward(const Context&, ConstTensorView x, TensorView logits) const override {
    const size_t width = static_cast<size_t>(x.dim(1) / logits.dim(1));
    DispatchFloat(x.dtype(), [&]<typename T>() {
      const auto from = x.cpu<T>();
      const auto to = logits.cpu<T>();
      for (size_t i = 0; i < to.size(); ++i) {
        const T mean = SumOf<T>(from.subspan(i * width, width)) / static_cast<T>(width);
        to[i] = mean < T{0} ? T{0} : mean;  // NaN stays
      }
    });
  }

  void Backward(const Context&, ConstTensorView x, ConstTensorView dlogits,
                TensorView dx) const override {
    const size_t width = static_cast<size_t>(x.dim(1) / dlogits.dim(1));
    DispatchFloat(x.dtype(), [&]<typename T>() {
      const auto from = x.cpu<T>();
      const auto to = dx.cpu<T>();
      const auto gradient = dlogits.cpu<T>();
      for (size_t i = 0; i < gradient.size(); ++i) {
        if (SumOf<T>(from.subspan(i * width, width)) <= T{0}) continue;
        const T share = gradient[i] / static_cast<T>(width);
        for (T& value : to.subspan(i * width, width)) value += share;
      }
    });
  }
};

class CosineLogits final : public LogitSource {
 public:
  void Forward(const Context&, ConstTensorView x, TensorView logits) const override {
    const size_t experts = static_cast<size_t>(logits.dim(1));
    const size_t hidden = static_cast<size_t>(x.dim(1));
    const size_t width = hidden / experts;
    DispatchFloat(x.dtype(), [&]<typename T>() {
      const auto to = logits.cpu<T>();
      for (size_t row = 0; row * experts < to.size(); ++row) {
        const auto from = x.cpu<T>().subspan(row * hidden, hidden);
        const T scale = Scale(from, width);
        for (size_t e = 0; e < experts; ++e) {
          to[row * experts + e] = scale * SumOf<T>(from.subspan(e * width, width));
        }
      }
    });
  }

  // With c = 1 / (|x| sqrt(width)): dx_j = c dl_e(j) - x_j / |x|^2 sum_e dl_e l_e.
  void Backward(const Context&, ConstTensorView x, ConstTensorView dlogits,
                TensorView dx) const override {
    const size_t experts = static_cast<size_t>(dlogits.dim(1));
    const size_t hidden = static_cast<size_t>(x.dim(1));
    const size_t width = hidden / experts;
    DispatchFloat(x.dtype(), [&]<typename T>() {
      const auto gradient = dlogits.cpu<T>();
      for (size_t row = 0; row * experts < gradient.size(); ++row) {
        const auto from = x.cpu<T>().subspan(row * hidden, hidden);
        const auto to = dx.cpu<T>().subspan(row * hidden, hidden);
        const T scale = Scale(from, width);
        T along = T{0};
        for (size_t e = 0; e < experts; ++e) {
          along += gradient[row * experts + e] * scale * SumOf<T>(from.subspan(e * width, width));
        }
        // 1 / |x|^2.
        const T radial = along * scale * scale * static_cast<T>(width);
        for (size_t h = 0; h < hidden; ++h) {
          to[h] += scale * gradient[row * experts + h / width] - radial * from[h];
        }
      }
    });
  }

 private:
  // 1 / (|x| sqrt(width)), or 0 for x = 0.
  template <typename T>
  static T Scale(std::span<const T> x, size_t width) {
    const T square = std::inner_product(x.begin(), x.end(), x.begin(), T{0});
    return square == T{0} ? T{0} : T{1} / std::sqrt(square * static_cast<T>(width));
  }
};

}  // namespace

absl::StatusOr<std::unique_ptr<LogitSource>> MakeBlockLogits(const RouterOptions& options,
                                                             BlockLogit rule) {
  if (options.hidden % options.num_experts != 0) {
    return OptionError(
        {"",
         {"moe.num_experts", "model.hidden"},
         absl::StrCat("router ", options.kind, ": its ", options.num_experts,
                      " experts read blocks of features, so their number must divide the hidden "
                      "width ",
                      options.hidden)});
  }
  if (rule == BlockLogit::kReluMean) return std::make_unique<ReluMeanLogits>();
  return std::make_unique<CosineLogits>();
}

}  // namespace equipoise::routing
