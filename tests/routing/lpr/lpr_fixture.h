#ifndef EQUIPOISE_TESTS_ROUTING_LPR_LPR_FIXTURE_H_
#define EQUIPOISE_TESTS_ROUTING_LPR_LPR_FIXTURE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/nn/parameter.h"
#include "routing/lpr/latent_noise.h"
#include "routing/lpr/options.h"
#include "routing/router.h"
#include "tests/support/test_context.h"

namespace equipoise::routing {

// Options of an LPR router of E experts, K active, over width H.
RouterOptions LprRouterOptions(int64_t hidden, int num_experts, int top_k);

// noise[d] of token t = 0.5 sin(2.3 (t D + d)), whatever the step.
std::unique_ptr<LatentNoise> MakeSineNoise();

// Standard normal draws, functions of (key, what, i).
std::vector<double> DrawNormal(size_t size, uint64_t key, const char* what);

// One micro-batch; tensors of the fixture's.
struct LprPass {
  RouterInput input;
  RouterOutput output;
  TensorView x;
  TensorView dx;
  TensorView expert_input;  // [T, H]: what the experts of each token take

  int64_t num_tokens() const { return x.dim(0); }
  std::vector<int32_t> ids() const;
  std::vector<double> gates() const;
  std::vector<double> sums() const;
};

// Gradients of a weighted sum of gates and experts' inputs, and what the losses take.
struct LprGradients {
  std::vector<double> dgates;         // [T, K]
  std::vector<double> dexpert_input;  // [T, H]
  std::vector<double> load;           // sums, or empty
  int64_t load_tokens = 0;
  int64_t batch_tokens = 0;
};

// An LPR router with its parameters, and memory for its passes.
class LprFixture {
 public:
  // Parameters are normal, of a size that makes the encoder's output of order one; a function of
  // `key`. The options must be valid.
  LprFixture(const RouterOptions& router, const LprOptions& options, DType dtype, uint64_t key = 1);

  // x [T, H]; row 0 is token `first_token` of the step.
  LprPass MakePass(std::span<const double> x, int64_t first_token = 0);
  void Forward(const LprPass& pass);
  // Sets dx (with the experts' share of it) and the parameters' gradients.
  void Backward(const LprPass& pass, const LprGradients& gradients);
  // The function whose gradient Backward gives. Forwards first.
  double Loss(const LprPass& pass, const LprGradients& gradients);

  Router& router() { return *router_; }
  const RouterOptions& options() const { return options_; }
  const ParameterRegistry& parameters() const { return parameters_; }
  // By its name after "gate.".
  const Parameter& parameter(const std::string& name) const;
  testing_support::TestContext& test_context() { return context_; }

 private:
  RouterOptions options_;
  DType dtype_;
  testing_support::TestContext context_;
  ParameterRegistry parameters_;
  std::unique_ptr<Router> router_;
};

}  // namespace equipoise::routing

#endif  // EQUIPOISE_TESTS_ROUTING_LPR_LPR_FIXTURE_H_
