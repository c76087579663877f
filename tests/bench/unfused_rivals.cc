// The routers that are not fused: rivals and oracles.

#include <string>
#include <utility>

#include "core/base/rng.h"
#include "core/base/status_macros.h"
#include "routing/lpr/latent_noise.h"
#include "routing/lpr/options.h"
#include "routing/reference/lpr.h"
#include "tests/bench/products.h"
#include "tests/bench/router_rivals.h"
#include "tests/bench/unfused_lpr.h"

namespace equipoise::bench {
namespace {

// An LPR router's parameters at the size that they start with.
struct LprValues {
  std::vector<Tensor> memory;
  UnfusedLprParameters views;
};

absl::StatusOr<LprValues> MakeValues(RankMemory& memory, const RouterShape& shape,
                                     const routing::LprOptions& options) {
  LprValues values;
  const auto create = [&](const char* name, const Shape& extents, double mean, double stddev,
                          TensorView& view) -> absl::Status {
    EQ_ASSIGN_OR_RETURN(Tensor tensor, MakeFilled(memory, extents, mean));
    const Philox random(StreamKey(1, name));
    uint64_t counter = 0;
    for (float& value : tensor.view().cpu<float>()) {
      value += static_cast<float>(stddev * random.Normal(counter++));
    }
    view = tensor.view();
    values.memory.push_back(std::move(tensor));
    return absl::OkStatus();
  };
  const int64_t hidden = shape.hidden, dimensions = shape.dimensions;
  const int64_t moments = (options.log_variances ? 2 : 1) * dimensions;
  UnfusedLprParameters& views = values.views;
  EQ_RETURN_IF_ERROR(create("gain", {hidden}, 1.0, 0.0, views.gain));
  EQ_RETURN_IF_ERROR(create("shift", {hidden}, 0.0, 0.0, views.shift));
  EQ_RETURN_IF_ERROR(create("weight", {moments, hidden}, 0.0, 0.02, views.weight));
  EQ_RETURN_IF_ERROR(create("bias", {moments}, 0.0, 0.0, views.bias));
  EQ_RETURN_IF_ERROR(create("prototypes", {shape.experts, dimensions}, 0.0, 1.0, views.prototypes));
  if (!options.decode) return values;
  EQ_RETURN_IF_ERROR(create("decoder", {hidden, dimensions}, 0.0, 0.02, views.decoder));
  EQ_RETURN_IF_ERROR(create("decoder_bias", {hidden}, 0.0, 0.0, views.decoder_bias));
  return values;
}

LprWorkOptions WorkOf(const routing::LprOptions& options) {
  return {options.log_variances, true, options.decode};
}

class UnfusedRouter final : public RouterRival {
 public:
  static absl::StatusOr<std::unique_ptr<RouterRival>> Create(
      std::string name, UnfusedLpr::Form form, const routing::LprOptions& options,
      RankMemory& memory, const RouterShape& shape, RouterTensors& tensors) {
    std::unique_ptr<UnfusedRouter> rival(
        new UnfusedRouter(std::move(name), LprWork(shape, WorkOf(options)), memory));
    EQ_ASSIGN_OR_RETURN(rival->values_, MakeValues(memory, shape, options));
    const UnfusedLpr::Sizes sizes = {shape.tokens, shape.hidden, shape.experts, shape.top_k,
                                     shape.dimensions};
    EQ_ASSIGN_OR_RETURN(rival->router_, UnfusedLpr::Create(memory.device(), sizes, form, options,
                                                           rival->values_.views, *rival->noise_));
    rival->input_ = {tensors.x.view(), tensors.dgates.view(), tensors.dexpert_input.view()};
    return rival;
  }

  absl::Status Run() override {
    router_->Run(memory_.context(), input_);
    return absl::OkStatus();
  }

 private:
  UnfusedRouter(std::string name, RouterWork work, RankMemory& memory)
      : RouterRival(std::move(name), std::move(work)),
        memory_(memory),
        noise_(routing::MakeLatentNoise(routing::RouterOptions())) {}

  RankMemory& memory_;
  const std::unique_ptr<routing::LatentNoise> noise_;
  LprValues values_;
  std::unique_ptr<UnfusedLpr> router_;
  UnfusedLpr::Input input_;
};

template <typename T>
routing::reference::Matrix<T> ToMatrix(ConstTensorView view) {
  const auto values = view.cpu<float>();
  const int64_t columns = view.dim(view.shape().rank() - 1);
  return {view.num_elements() / columns, columns, {values.begin(), values.end()}};
}

template <typename T>
class Oracle final : public RouterRival {
 public:
  Oracle(std::string name, RankMemory& memory, const RouterShape& shape, RouterTensors& tensors)
      : RouterRival(std::move(name), LprWork(shape, WorkOf(routing::ReferenceLprOptions()))),
        memory_(memory),
        shape_(shape),
        tensors_(tensors) {}

  absl::Status Run() override {
    routing::LprOptions options = routing::ReferenceLprOptions();
    options.latent_dim = shape_.dimensions;
    EQ_ASSIGN_OR_RETURN(const LprValues values, MakeValues(memory_, shape_, options));
    routing::reference::LprParameters<T> parameters;
    parameters.gain = ToMatrix<T>(values.views.gain);
    parameters.shift = ToMatrix<T>(values.views.shift);
    parameters.weight = ToMatrix<T>(values.views.weight);
    parameters.bias = ToMatrix<T>(values.views.bias);
    parameters.prototypes = ToMatrix<T>(values.views.prototypes);
    parameters.decoder = ToMatrix<T>(values.views.decoder);
    parameters.decoder_bias = ToMatrix<T>(values.views.decoder_bias);
    routing::reference::LprStep<T> step;
    step.x = ToMatrix<T>(tensors_.x.view());
    step.noise = routing::reference::Matrix<T>::Zeros(shape_.tokens, shape_.dimensions);
    step.dgates = ToMatrix<T>(tensors_.dgates.view());
    step.dexpert_input = ToMatrix<T>(tensors_.dexpert_input.view());
    routing::reference::RunLpr(memory_.context(), options, static_cast<int>(shape_.top_k),
                               parameters, step);
    return absl::OkStatus();
  }

 private:
  RankMemory& memory_;
  const RouterShape shape_;
  RouterTensors& tensors_;
};

}  // namespace

absl::StatusOr<std::vector<std::unique_ptr<RouterRival>>> MakeUnfusedRouters(
    RankMemory& memory, const RouterShape& shape, RouterTensors& tensors) {
  struct Case {
    const char* name;
    UnfusedLpr::Form form;
    routing::LprOptions options;
  };
  using Form = UnfusedLpr::Form;
  const Case cases[] = {
      {"unfused REFERENCE", Form::kPublished, routing::ReferenceLprOptions()},
      {"unfused REFERENCE, frugal", Form::kFrugal, routing::ReferenceLprOptions()},
      {"unfused LEAN", Form::kPublished, routing::LeanLprOptions()},
      {"unfused LEAN, frugal", Form::kFrugal, routing::LeanLprOptions()},
  };
  std::vector<std::unique_ptr<RouterRival>> rivals;
  for (const Case& one : cases) {
    EQ_ASSIGN_OR_RETURN(
        auto rival, UnfusedRouter::Create(one.name, one.form, one.options, memory, shape, tensors));
    rivals.push_back(std::move(rival));
  }
  return rivals;
}

std::vector<std::unique_ptr<RouterRival>> MakeOracles(RankMemory& memory, const RouterShape& shape,
                                                      RouterTensors& tensors) {
  std::vector<std::unique_ptr<RouterRival>> rivals;
  rivals.push_back(
      std::make_unique<Oracle<float>>("oracle REFERENCE, float", memory, shape, tensors));
  rivals.push_back(
      std::make_unique<Oracle<double>>("oracle REFERENCE, double", memory, shape, tensors));
  return rivals;
}

}  // namespace equipoise::bench
