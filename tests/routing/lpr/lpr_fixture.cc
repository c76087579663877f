#include "tests/routing/lpr/lpr_fixture.h"

#include <cmath>
#include <numeric>

#include "core/base/check.h"
#include "core/base/rng.h"

namespace equipoise::routing {

using testing_support::SetDoubles;
using testing_support::ToDoubles;

namespace {

class SineNoise final : public LatentNoise {
 public:
  void Draw(int64_t step, int64_t token, std::span<double> noise) const override {
    (void)step;
    for (size_t d = 0; d < noise.size(); ++d) {
      const size_t i = static_cast<size_t>(token) * noise.size() + d;
      noise[d] = 0.5 * std::sin(2.3 * static_cast<double>(i));
    }
  }
};

}  // namespace

RouterOptions LprRouterOptions(int64_t hidden, int num_experts, int top_k) {
  RouterOptions options;
  options.kind = "lpr";
  options.hidden = hidden;
  options.num_experts = num_experts;
  options.top_k = top_k;
  options.name_prefix = "model.layers.0.mlp.";
  return options;
}

std::unique_ptr<LatentNoise> MakeSineNoise() { return std::make_unique<SineNoise>(); }

std::vector<double> DrawNormal(size_t size, uint64_t key, const char* what) {
  const Philox philox(StreamKey(key, what));
  std::vector<double> values(size);
  for (size_t i = 0; i < values.size(); ++i) values[i] = philox.Normal(i);
  return values;
}

std::vector<int32_t> LprPass::ids() const {
  const auto values = output.expert_ids.cpu<int32_t>();
  return {values.begin(), values.end()};
}
std::vector<double> LprPass::gates() const { return ToDoubles(output.gates); }
std::vector<double> LprPass::sums() const { return ToDoubles(output.partials); }

LprFixture::LprFixture(const RouterOptions& router, const LprOptions& options, DType dtype,
                       uint64_t key)
    : options_(router), dtype_(dtype), context_(size_t{64} << 20) {
  auto made = MakeLpr(router, options, MakeSineNoise(), parameters_);
  EQ_CHECK(made.ok()) << made.status().ToString();
  router_ = *std::move(made);
  EQ_CHECK(parameters_.Allocate(context_.device(), dtype, {1, 1}).ok());
  for (const auto& parameter : parameters_.parameters()) {
    const std::string& name = parameter->spec().parts[0].name;
    auto values = DrawNormal(static_cast<size_t>(parameter->num_elements()), key, name.c_str());
    const bool encodes = name.find("encoder.weight") != std::string::npos;
    const double scale = encodes ? 1.5 / std::sqrt(static_cast<double>(router.hidden)) : 0.5;
    for (double& value : values) value *= scale;
    if (parameter->spec().init == Init::kOnes) {
      for (double& value : values) value = 1.0 + 0.3 * value;
    }
    SetDoubles(parameter->value(), values);
  }
}

const Parameter& LprFixture::parameter(const std::string& name) const {
  for (const auto& parameter : parameters_.parameters()) {
    if (parameter->spec().parts[0].name == options_.name_prefix + "gate." + name) return *parameter;
  }
  EQ_CHECK(false) << "no parameter " << name;
  return *parameters_.parameters().front();
}

LprPass LprFixture::MakePass(std::span<const double> x, int64_t first_token) {
  const int64_t num_tokens = static_cast<int64_t>(x.size()) / options_.hidden;
  LprPass pass;
  pass.x = context_.Make(dtype_, {num_tokens, options_.hidden}, x);
  pass.dx = context_.Zeros(dtype_, {num_tokens, options_.hidden});
  pass.expert_input = context_.Zeros(dtype_, {num_tokens, options_.hidden});
  std::vector<double> token_ids(static_cast<size_t>(num_tokens));
  std::iota(token_ids.begin(), token_ids.end(), 0.0);
  pass.input.x = pass.x;
  pass.input.token_ids = context_.Make(DType::kI32, {num_tokens}, token_ids);
  pass.input.first_token = first_token;
  pass.output.expert_ids = context_.Zeros(DType::kI32, {num_tokens, options_.top_k});
  pass.output.gates = context_.Zeros(dtype_, {num_tokens, options_.top_k});
  pass.output.saved = context_.Zeros(dtype_, {num_tokens, router_->saved_per_token()});
  pass.output.partials = context_.Zeros(DType::kF64, {router_->num_statistics()});
  return pass;
}

void LprFixture::Forward(const LprPass& pass) {
  router_->Forward(context_.context(), pass.input, pass.output);
  SetDoubles(pass.expert_input, ToDoubles(pass.x));
  if (!router_->adds_to_expert_input()) return;
  const int64_t num_tokens = pass.num_tokens();
  std::vector<double> rows(static_cast<size_t>(num_tokens));
  std::iota(rows.begin(), rows.end(), 0.0);
  router_->AddToExpertInput(context_.context(), pass.input, pass.output,
                            context_.Make(DType::kI64, {num_tokens}, rows), pass.expert_input);
}

void LprFixture::Backward(const LprPass& pass, const LprGradients& gradients) {
  for (const auto& parameter : parameters_.parameters()) {
    SetDoubles(parameter->gradient(),
               std::vector<double>(static_cast<size_t>(parameter->num_elements()), 0.0));
  }
  // What reaches x through the experts is there before the router adds its share.
  SetDoubles(pass.dx, gradients.dexpert_input);
  RouterBackwardInput backward;
  backward.dgates = context_.Make(dtype_, pass.output.gates.shape(), gradients.dgates);
  if (router_->adds_to_expert_input()) {
    backward.dexpert_input = context_.Make(dtype_, pass.x.shape(), gradients.dexpert_input);
  }
  if (!gradients.load.empty()) {
    backward.statistics =
        context_.Make(DType::kF64, {static_cast<int64_t>(gradients.load.size())}, gradients.load);
  }
  backward.statistics_tokens = gradients.load_tokens;
  backward.batch_tokens = gradients.batch_tokens;
  router_->Backward(context_.context(), pass.input, pass.output, backward, pass.dx);
}

double LprFixture::Loss(const LprPass& pass, const LprGradients& gradients) {
  Forward(pass);
  const auto gates = pass.gates();
  const auto inputs = ToDoubles(pass.expert_input);
  double total = std::inner_product(gates.begin(), gates.end(), gradients.dgates.begin(), 0.0);
  total += std::inner_product(inputs.begin(), inputs.end(), gradients.dexpert_input.begin(), 0.0);
  for (const LossTerm& term : router_->Losses(pass.sums(), gradients.batch_tokens, gradients.load,
                                              gradients.load_tokens)) {
    total += term.value;
  }
  return total;
}

}  // namespace equipoise::routing
