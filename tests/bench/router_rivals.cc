#include "tests/bench/router_rivals.h"

#include <utility>

#include "core/base/rng.h"
#include "core/base/status_macros.h"
#include "core/nn/parameter.h"
#include "routing/router.h"

namespace equipoise::bench {
namespace {

void FillNormal(const char* stream, double scale, TensorView x) {
  const Philox random(StreamKey(1, stream));
  uint64_t counter = 0;
  for (float& value : x.cpu<float>()) value = static_cast<float>(scale * random.Normal(counter++));
}

class FusedRouter final : public RouterRival {
 public:
  static absl::StatusOr<std::unique_ptr<RouterRival>> Create(std::string name, RouterWork work,
                                                             const routing::RouterOptions& options,
                                                             RankMemory& memory,
                                                             RouterTensors& tensors) {
    std::unique_ptr<FusedRouter> rival(
        new FusedRouter(std::move(name), std::move(work), memory, tensors));
    EQ_RETURN_IF_ERROR(rival->MakeRouter(options));
    return rival;
  }

  absl::Status Run() override {
    const Context& context = memory_.context();
    router_->Forward(context, input_, output_);
    if (router_->adds_to_expert_input()) {
      router_->AddToExpertInput(context, input_, output_, tensors_.rows.view(),
                                tensors_.expert_input.view());
    }
    router_->Backward(context, input_, output_, backward_, tensors_.dx.view());
    return absl::OkStatus();
  }

 private:
  FusedRouter(std::string name, RouterWork work, RankMemory& memory, RouterTensors& tensors)
      : RouterRival(std::move(name), std::move(work)), memory_(memory), tensors_(tensors) {}

  absl::Status MakeRouter(const routing::RouterOptions& options) {
    EQ_ASSIGN_OR_RETURN(router_, routing::MakeRouter(options, parameters_));
    const int64_t alignment[kNumParameterGroups] = {1, 1};
    Device& device = memory_.device();
    EQ_RETURN_IF_ERROR(parameters_.Allocate(device, DType::kF32, alignment));
    parameters_.Initialize(device, /*seed=*/1);
    const int64_t tokens = tensors_.x.view().dim(0);
    const Shape copies = {tokens, router_->max_copies_per_token()};
    EQ_ASSIGN_OR_RETURN(ids_, Tensor::Create(device, DType::kI32, copies));
    EQ_ASSIGN_OR_RETURN(gates_, Tensor::Create(device, DType::kF32, copies));
    EQ_ASSIGN_OR_RETURN(saved_,
                        Tensor::Create(device, DType::kF32, {tokens, router_->saved_per_token()}));
    EQ_ASSIGN_OR_RETURN(partials_,
                        Tensor::Create(device, DType::kF64, {router_->num_statistics()}));
    input_.x = tensors_.x.view();
    input_.token_ids = tensors_.token_ids.view();
    input_.sequence_length = tokens;
    output_ = {ids_.view(), gates_.view(), saved_.view(), partials_.view()};
    backward_.dgates = tensors_.dgates.view();
    if (router_->adds_to_expert_input()) {
      backward_.dexpert_input = tensors_.dexpert_input.view();
    }
    backward_.statistics = partials_.view();
    backward_.statistics_tokens = backward_.batch_tokens = tokens;
    return absl::OkStatus();
  }

  RankMemory& memory_;
  RouterTensors& tensors_;
  ParameterRegistry parameters_;
  std::unique_ptr<routing::Router> router_;
  Tensor ids_, gates_, saved_, partials_;
  routing::RouterInput input_;
  routing::RouterOutput output_;
  routing::RouterBackwardInput backward_;
};

routing::RouterOptions OptionsOf(const RouterShape& shape, const char* kind) {
  routing::RouterOptions options;
  options.kind = kind;
  options.hidden = shape.hidden;
  options.num_experts = static_cast<int>(shape.experts);
  options.top_k = static_cast<int>(shape.top_k);
  options.name_prefix = "layer.";
  return options;
}

routing::RouterOptions TopKOptions(const RouterShape& shape) {
  routing::RouterOptions options = OptionsOf(shape, "top_k");
  options.settings.Set("score", std::string("SOFTMAX"));
  options.settings.Set("selection", std::string("SCORE_ALL"));
  options.settings.Set("renormalise", true);
  options.settings.Set("scaling_factor", 1.0);
  options.balance_loss.coefficient = 0.01;
  options.z_loss.coefficient = 1e-3;
  return options;
}

// The mode's own settings.
routing::RouterOptions LprOptions(const RouterShape& shape, const char* mode, const char* bias) {
  routing::RouterOptions options = OptionsOf(shape, "lpr");
  routing::Settings& settings = options.settings;
  settings.Set("mode", std::string(mode));
  settings.Set("latent_dim", shape.dimensions);
  settings.Set("similarity", std::string("COSINE"));
  settings.Set("decode", std::string("MODE_DEFAULT"));
  settings.Set("prototypes", std::string("MODE_PROTOTYPES"));
  settings.Set("temperature", -1.0);
  settings.Set("learn_temperature", std::string("MODE_DEFAULT"));
  for (const char* loss : {"kl", "token_diversity", "mean_direction", "prototype_diversity",
                           "prototype_repulsion", "alignment", "soft_load"}) {
    settings.Set(std::string("losses.") + loss, -1.0);
  }
  settings.Set("losses.soft_load_temperature", 0.1);
  settings.Set("losses.repulsion_beta", 8.0);
  settings.Set("bias.rule", std::string(bias));
  settings.Set("bias.rate", 0.005);
  settings.Set("bias.centre", true);
  settings.Set("bias.bins", int64_t{128});
  settings.Set("bias.margin_range", 1.0);
  settings.Set("groups.num_groups", int64_t{1});
  settings.Set("groups.top_groups", int64_t{1});
  settings.Set("groups.score", std::string("MAX"));
  return options;
}

}  // namespace

absl::StatusOr<RouterTensors> MakeRouterTensors(RankMemory& memory, const RouterShape& shape) {
  RouterTensors tensors;
  Device& device = memory.device();
  const Shape rows = {shape.tokens, shape.hidden};
  for (Tensor* tensor : {&tensors.x, &tensors.dx, &tensors.expert_input, &tensors.dexpert_input}) {
    EQ_ASSIGN_OR_RETURN(*tensor, Tensor::Create(device, DType::kF32, rows));
  }
  EQ_ASSIGN_OR_RETURN(tensors.dgates,
                      Tensor::Create(device, DType::kF32, {shape.tokens, shape.top_k}));
  EQ_ASSIGN_OR_RETURN(tensors.token_ids, Tensor::Create(device, DType::kI32, {shape.tokens}));
  EQ_ASSIGN_OR_RETURN(tensors.rows, Tensor::Create(device, DType::kI64, {shape.tokens}));
  FillNormal("x", 1.0, tensors.x.view());
  FillNormal("dexpert_input", 1e-3, tensors.dexpert_input.view());
  FillNormal("dgates", 1e-3, tensors.dgates.view());
  for (int64_t t = 0; t < shape.tokens; ++t) {
    tensors.token_ids.view().cpu<int32_t>()[static_cast<size_t>(t)] = static_cast<int32_t>(t);
    tensors.rows.view().cpu<int64_t>()[static_cast<size_t>(t)] = t;
  }
  return tensors;
}

absl::StatusOr<std::vector<std::unique_ptr<RouterRival>>> MakeFusedRouters(RankMemory& memory,
                                                                           const RouterShape& shape,
                                                                           RouterTensors& tensors) {
  struct Mode {
    const char* name;
    const char* mode;
    const char* bias;
    LprWorkOptions work;
  };
  const Mode modes[] = {
      {"lpr REFERENCE", "REFERENCE", "NONE", {true, true, true}},
      {"lpr LEAN", "LEAN", "NONE", {false, true, false}},
      {"lpr GEOMETRIC", "GEOMETRIC", "NONE", {}},
      {"lpr GEOMETRIC, bias", "GEOMETRIC", "PROPORTIONAL", {}},
      {"lpr GEOMETRIC, quantile bias", "GEOMETRIC", "QUANTILE", {}},
  };
  std::vector<std::unique_ptr<RouterRival>> rivals;
  EQ_ASSIGN_OR_RETURN(auto top_k, FusedRouter::Create("top_k", TopKWork(shape), TopKOptions(shape),
                                                      memory, tensors));
  rivals.push_back(std::move(top_k));
  routing::RouterOptions measured = TopKOptions(shape);
  measured.measure_angles = true;
  EQ_ASSIGN_OR_RETURN(auto angles, FusedRouter::Create("top_k, angles", TopKWork(shape), measured,
                                                       memory, tensors));
  rivals.push_back(std::move(angles));
  for (const Mode& mode : modes) {
    EQ_ASSIGN_OR_RETURN(
        auto lpr, FusedRouter::Create(mode.name, LprWork(shape, mode.work),
                                      LprOptions(shape, mode.mode, mode.bias), memory, tensors));
    rivals.push_back(std::move(lpr));
  }
  return rivals;
}

}  // namespace equipoise::bench
