#ifndef EQUIPOISE_TESTS_ROUTING_ROUTER_FIXTURE_H_
#define EQUIPOISE_TESTS_ROUTING_ROUTER_FIXTURE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/nn/parameter.h"
#include "routing/router.h"
#include "tests/support/test_context.h"

namespace equipoise::routing {

// Settings of router top_k.
Settings TopKSettings(const std::string& score, const std::string& selection, bool renormalise,
                      double scaling_factor);
// Settings of router lpr: the mode's own, in few dimensions, without decoded prototypes.
Settings LprSettings(const std::string& mode);

// Options of a top_k router (Mixtral's gates) of E experts, K active, over width H.
RouterOptions TopKOptions(int64_t hidden, int num_experts, int top_k);

// The schema's defaults for router `kind`; none if it has none.
Settings DefaultSettings(const std::string& kind);
// Options with them.
RouterOptions OptionsOf(const std::string& kind, int64_t hidden, int num_experts, int top_k);
// Settings of the shared pieces that a router's message may hold.
void SetBias(const std::string& rule, double rate, Settings& settings);
void SetGroups(int num_groups, int top_groups, const std::string& score, Settings& settings);

// One micro-batch in a router's terms; tensors of the fixture's.
struct RouterPass {
  RouterInput input;
  RouterOutput output;
  TensorView x;
  TensorView dx;

  int64_t num_tokens() const { return x.dim(0); }
  std::vector<int32_t> ids() const;
  std::vector<double> gates() const;
  std::vector<double> sums() const;
};

// MakeRouter, or what makes one router alone.
using RouterFactory = absl::StatusOr<std::unique_ptr<Router>> (*)(const RouterOptions& options,
                                                                  ParameterRegistry& parameters);

// A router with its parameters, and memory for its passes.
class RouterFixture {
 public:
  // Weights are normal of standard deviation 1 / sqrt(H), a function of `key`. The router must be
  // valid.
  RouterFixture(const RouterOptions& options, DType dtype, uint64_t key = 1,
                RouterFactory factory = MakeRouter);

  // x [T, H] row by row; token ids first_token + 0, 1, 2, ...; with nodes, sequences live on them
  // in turn.
  RouterPass MakePass(std::span<const double> x, int64_t sequence_length, int64_t first_token = 0);
  // A pass of T standard normal tokens, forward done.
  RouterPass NormalPass(int64_t num_tokens, int64_t sequence_length, uint64_t key);
  void Forward(const RouterPass& pass) const;
  // Sets dx and the parameters' gradients. `statistics`: empty for none.
  void Backward(const RouterPass& pass, std::span<const double> dgates,
                std::span<const double> statistics, int64_t statistics_tokens,
                int64_t batch_tokens);

  const RouterOptions& options() const { return options_; }
  const Router& router() const { return *router_; }
  Router& router() { return *router_; }
  testing_support::TestContext& test_context() { return context_; }
  // The router's only matrix, if it has one.
  const Parameter& weight() const { return *parameters_.parameters().front(); }
  const std::vector<std::unique_ptr<Parameter>>& parameters() const {
    return parameters_.parameters();
  }
  void ZeroGradients(const RouterPass& pass);

 private:
  RouterOptions options_;
  DType dtype_;
  testing_support::TestContext context_;
  ParameterRegistry parameters_;
  std::unique_ptr<Router> router_;
};

}  // namespace equipoise::routing

#endif  // EQUIPOISE_TESTS_ROUTING_ROUTER_FIXTURE_H_
