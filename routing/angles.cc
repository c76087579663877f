#include "routing/angles.h"

#include <cmath>
#include <numeric>
#include <span>

#include "routing/cpu/score_rows.h"

namespace equipoise::routing {
namespace {

template <typename T>
T InverseLength(const T* x, int64_t n) {
  const T square = cpu::DotRow<T>(x, x, n);
  return square > T{0} ? T{1} / std::sqrt(square) : T{0};
}

// cosines [n, K] = cosine(row, expert) of what is selected.
template <typename T, typename Cosine>
void ForEachSelected(const ScoreTile& tile, TensorView cosines, Cosine&& cosine) {
  const int64_t top_k = tile.selected.dim(1);
  const int32_t* ids = tile.selected.cpu<int32_t>().data();
  T* out = cosines.cpu<T>().data();
  for (int64_t row = 0; row < tile.num_rows(); ++row) {
    const auto of_row = cosine(row);
    for (int64_t k = 0; k < top_k; ++k, ++ids, ++out) *out = *ids < 0 ? T{0} : of_row(*ids);
  }
}

class LinearAngles final : public AngleSource {
 public:
  explicit LinearAngles(const Parameter* weight) : weight_(weight) {}

  TensorView Prepare(const Context& context) const override {
    const ConstTensorView weight = weight_->value();
    const int64_t hidden = weight.dim(1);
    const TensorView inverse = context.scratch->Allocate(weight.dtype(), {weight.dim(0)});
    DispatchFloat(weight.dtype(), [&]<typename T>() {
      const T* row = weight.cpu<T>().data();
      for (T& value : inverse.cpu<T>()) {
        value = InverseLength(row, hidden);
        row += hidden;
      }
    });
    return inverse;
  }

  void Cosines(const Context&, ConstTensorView x, const ScoreTile& tile, ConstTensorView prepared,
               TensorView cosines) const override {
    DispatchFloat(x.dtype(), [&]<typename T>() {
      const T* tokens = x.cpu<T>().data();
      const T* logits = tile.logits.cpu<T>().data();
      const T* inverse = prepared.cpu<T>().data();
      ForEachSelected<T>(tile, cosines, [&](int64_t row) {
        const T scale = InverseLength(tokens + row * x.dim(1), x.dim(1));
        const T* of_row = logits + row * tile.num_experts();
        return [=](int32_t id) { return of_row[id] * scale * inverse[id]; };
      });
    });
  }

 private:
  const Parameter* weight_;
};

class BlockAngles final : public AngleSource {
 public:
  BlockAngles(int64_t hidden, int num_experts) : hidden_(hidden), width_(hidden / num_experts) {}

  void Cosines(const Context&, ConstTensorView x, const ScoreTile& tile, ConstTensorView,
               TensorView cosines) const override {
    DispatchFloat(x.dtype(), [&]<typename T>() {
      const T* tokens = x.cpu<T>().data();
      const T width = static_cast<T>(width_);
      ForEachSelected<T>(tile, cosines, [&](int64_t row) {
        const T* token = tokens + row * hidden_;
        const T scale = InverseLength(token, hidden_) / std::sqrt(width);
        return [=, this](int32_t id) {
          const T* block = token + id * width_;
          return scale * std::accumulate(block, block + width_, T{0});
        };
      });
    });
  }

 private:
  const int64_t hidden_;
  const int64_t width_;
};

class LatentAngles final : public AngleSource {
 public:
  void Cosines(const Context&, ConstTensorView, const ScoreTile& tile, ConstTensorView,
               TensorView cosines) const override {
    DispatchFloat(cosines.dtype(), [&]<typename T>() {
      const T* similarities = tile.latent.similarities.cpu<T>().data();
      ForEachSelected<T>(tile, cosines, [&](int64_t row) {
        const T* of_row = similarities + row * tile.num_experts();
        return [=](int32_t id) { return of_row[id]; };
      });
    });
  }
};

}  // namespace

std::unique_ptr<AngleSource> MakeLinearAngles(const Parameter* weight) {
  return std::make_unique<LinearAngles>(weight);
}

std::unique_ptr<AngleSource> MakeBlockAngles(int64_t hidden, int num_experts) {
  return std::make_unique<BlockAngles>(hidden, num_experts);
}

std::unique_ptr<AngleSource> MakeLatentAngles() { return std::make_unique<LatentAngles>(); }

}  // namespace equipoise::routing
