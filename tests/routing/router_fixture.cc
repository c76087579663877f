#include "tests/routing/router_fixture.h"

#include <cmath>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/rng.h"

namespace equipoise::routing {

using testing_support::SetDoubles;
using testing_support::ToDoubles;

Settings TopKSettings(const std::string& score, const std::string& selection, bool renormalise,
                      double scaling_factor) {
  Settings settings;
  settings.Set("score", score);
  settings.Set("selection", selection);
  settings.Set("renormalise", renormalise);
  settings.Set("scaling_factor", scaling_factor);
  return settings;
}

RouterOptions TopKOptions(int64_t hidden, int num_experts, int top_k) {
  RouterOptions options;
  options.settings = TopKSettings("SOFTMAX", "SCORE_ALL", true, 1.0);
  options.hidden = hidden;
  options.num_experts = num_experts;
  options.top_k = top_k;
  options.name_prefix = "model.layers.0.mlp.";
  return options;
}

void SetBias(const std::string& rule, double rate, Settings& settings) {
  settings.Set("bias.rule", rule);
  settings.Set("bias.rate", rate);
  settings.Set("bias.centre", false);
  settings.Set("bias.bins", int64_t{128});
  settings.Set("bias.margin_range", 1.0);
}

void SetGroups(int num_groups, int top_groups, const std::string& score, Settings& settings) {
  settings.Set("groups.num_groups", int64_t{num_groups});
  settings.Set("groups.top_groups", int64_t{top_groups});
  settings.Set("groups.score", score);
}

Settings LprSettings(const std::string& mode) {
  Settings settings;
  settings.Set("mode", mode);
  settings.Set("latent_dim", int64_t{4});
  settings.Set("similarity", std::string("COSINE"));
  settings.Set("decode", std::string("OFF"));
  settings.Set("prototypes", std::string("MODE_PROTOTYPES"));
  settings.Set("temperature", -1.0);
  settings.Set("learn_temperature", std::string("MODE_DEFAULT"));
  for (const char* loss : {"kl", "token_diversity", "mean_direction", "prototype_diversity",
                           "prototype_repulsion", "alignment", "soft_load"}) {
    settings.Set(absl::StrCat("losses.", loss), -1.0);
  }
  settings.Set("losses.soft_load_temperature", 0.5);
  settings.Set("losses.repulsion_beta", 8.0);
  return settings;
}

Settings DefaultSettings(const std::string& kind) {
  Settings settings;
  if (kind == "lpr") return LprSettings("GEOMETRIC");
  if (kind == "top_k") return TopKSettings("SOFTMAX", "SCORE_ALL", true, 1.0);
  if (kind == "switch") settings.Set("jitter", 0.01);
  if (kind == "group_limited") {
    settings.Set("rule", std::string("V3"));
    settings.Set("num_groups", int64_t{1});
    settings.Set("top_groups", int64_t{1});
    settings.Set("scaling_factor", 1.0);
  }
  if (kind == "aux_free_bias" || kind == "quantile_balancing") {
    settings = TopKSettings("SIGMOID", "SCORE_ALL", true, 1.0);
    settings.Set("rate", kind == "aux_free_bias" ? 1e-3 : 0.5);
    settings.Set("rule", std::string("SIGN"));
    settings.Set("centre", false);
    settings.Set("bins", int64_t{128});
    settings.Set("margin_range", 1.0);
  }
  if (kind == "grap") settings.Set("renormalise", false);
  if (kind == "expert_choice") {
    settings.Set("capacity_factor", 1.0);
    settings.Set("max_copies", int64_t{0});
  }
  if (kind == "sinkhorn") {
    settings.Set("score", std::string("SOFTMAX"));
    settings.Set("renormalise", true);
    settings.Set("iterations", int64_t{20});
    settings.Set("tolerance", 1e-4);
  }
  if (kind == "token_resonance") {
    settings.Set("capacity_factor", 1.0);
    settings.Set("threshold", 0.0);
    settings.Set("capacity_safety", 0.0);
  }
  if (kind == "entropy_adaptive") {
    settings.Set("entropy_order", 1.1);
    settings.Set("entropy_threshold", 0.9);
    settings.Set("top_p", 0.75);
    settings.Set("min_copies", int64_t{2});
  }
  if (kind == "two_level_hash") {
    settings.Set("num_groups", int64_t{1});
    settings.Set("group_key", std::string("SEQUENCE"));
    settings.Set("position_block", int64_t{64});
    settings.Set("expert_key", std::string("TOKEN"));
  }
  return settings;
}

RouterOptions OptionsOf(const std::string& kind, int64_t hidden, int num_experts, int top_k) {
  RouterOptions options = TopKOptions(hidden, num_experts, top_k);
  options.kind = kind;
  options.settings = DefaultSettings(kind);
  return options;
}

std::vector<int32_t> RouterPass::ids() const {
  const auto values = output.expert_ids.cpu<int32_t>();
  return {values.begin(), values.end()};
}
std::vector<double> RouterPass::gates() const { return ToDoubles(output.gates); }
std::vector<double> RouterPass::sums() const { return ToDoubles(output.partials); }

RouterFixture::RouterFixture(const RouterOptions& options, DType dtype, uint64_t key,
                             RouterFactory factory)
    : options_(options), dtype_(dtype), context_(size_t{64} << 20) {
  auto router = factory(options, parameters_);
  EQ_CHECK(router.ok()) << router.status().ToString();
  router_ = *std::move(router);
  EQ_CHECK(parameters_.Allocate(context_.device(), dtype, {1, 1}).ok());
  const Philox philox(StreamKey(key, "weight"));
  const double stddev = 1.0 / std::sqrt(static_cast<double>(options.hidden));
  for (const auto& parameter : parameters_.parameters()) {
    std::vector<double> values(static_cast<size_t>(parameter->num_elements()));
    for (size_t i = 0; i < values.size(); ++i) values[i] = stddev * philox.Normal(i);
    SetDoubles(parameter->value(), values);
  }
}

RouterPass RouterFixture::MakePass(std::span<const double> x, int64_t sequence_length,
                                   int64_t first_token) {
  const int64_t copies = router_->max_copies_per_token();
  const int64_t num_tokens = static_cast<int64_t>(x.size()) / options_.hidden;
  RouterPass pass;
  pass.x = context_.Make(dtype_, {num_tokens, options_.hidden}, x);
  pass.dx = context_.Zeros(dtype_, {num_tokens, options_.hidden});
  std::vector<double> token_ids(static_cast<size_t>(num_tokens));
  std::iota(token_ids.begin(), token_ids.end(), static_cast<double>(first_token));
  pass.input.x = pass.x;
  pass.input.token_ids = context_.Make(DType::kI32, {num_tokens}, token_ids);
  if (options_.locality.num_nodes > 1) {
    std::vector<double> nodes;
    for (int64_t t = 0; t < num_tokens; ++t) {
      nodes.push_back(
          static_cast<double>((first_token + t) / sequence_length % options_.locality.num_nodes));
    }
    pass.input.nodes = context_.Make(DType::kI32, {num_tokens}, nodes);
  }
  pass.input.sequence_length = sequence_length;
  pass.input.first_token = first_token;
  pass.output.expert_ids = context_.Zeros(DType::kI32, {num_tokens, copies});
  pass.output.gates = context_.Zeros(dtype_, {num_tokens, copies});
  pass.output.saved = context_.Zeros(dtype_, {num_tokens, router_->saved_per_token()});
  pass.output.partials = context_.Zeros(DType::kF64, {router_->num_statistics()});
  return pass;
}

RouterPass RouterFixture::NormalPass(int64_t num_tokens, int64_t sequence_length, uint64_t key) {
  const Philox philox(StreamKey(key, "x"));
  std::vector<double> x(static_cast<size_t>(num_tokens * options_.hidden));
  for (size_t i = 0; i < x.size(); ++i) x[i] = philox.Normal(i);
  const RouterPass pass = MakePass(x, sequence_length);
  Forward(pass);
  return pass;
}

void RouterFixture::Forward(const RouterPass& pass) const {
  router_->Forward(context_.context(), pass.input, pass.output);
}

void RouterFixture::ZeroGradients(const RouterPass& pass) {
  SetDoubles(pass.dx, std::vector<double>(static_cast<size_t>(pass.dx.num_elements()), 0.0));
  for (const auto& parameter : parameters_.parameters()) {
    SetDoubles(parameter->gradient(),
               std::vector<double>(static_cast<size_t>(parameter->num_elements()), 0.0));
  }
}

void RouterFixture::Backward(const RouterPass& pass, std::span<const double> dgates,
                             std::span<const double> statistics, int64_t statistics_tokens,
                             int64_t batch_tokens) {
  ZeroGradients(pass);
  RouterBackwardInput backward;
  backward.dgates = context_.Make(dtype_, pass.output.gates.shape(), dgates);
  if (!statistics.empty()) {
    backward.statistics =
        context_.Make(DType::kF64, {static_cast<int64_t>(statistics.size())}, statistics);
  }
  backward.statistics_tokens = statistics_tokens;
  backward.batch_tokens = batch_tokens;
  router_->Backward(context_.context(), pass.input, pass.output, backward, pass.dx);
}

}  // namespace equipoise::routing
