#include "tests/routing/router_cases.h"

#include <algorithm>

#include "tests/routing/router_fixture.h"

namespace equipoise::routing {
namespace {

// Large, so that their gradients weigh as much as the gates'.
void AddLosses(RouterOptions& options) {
  options.balance_loss = {3.0, LossScope::kSequence};
  options.z_loss = {0.5};
  options.settings.Set("entropy_loss.coefficient", 0.3);
  options.settings.Set("entropy_loss.order", 1.1);
  options.settings.Set("orthogonality_loss.coefficient", 0.7);
  options.settings.Set("orthogonality_loss.form", std::string("COSINE"));
}

// Of groups that hold K experts whatever E and K are.
void Limit(RouterOptions& options, const char* score) {
  const int groups = options.num_experts % 3 == 0 ? 3 : 1;
  const int size = options.num_experts / groups;
  SetGroups(groups, (options.top_k + size - 1) / size, score, options.settings);
}

void AddBiasCases(std::vector<RouterCase>& cases) {
  cases.push_back({"aux_free_bias", "aux_free_bias", [](RouterOptions& options) {
                     AddLosses(options);
                     options.settings.Set("rate", 0.05);
                   }});
  cases.push_back({"aux_free_bias_proportional", "aux_free_bias", [](RouterOptions& options) {
                     AddLosses(options);
                     options.settings.Set("rule", std::string("PROPORTIONAL"));
                     options.settings.Set("score", std::string("SOFTMAX"));
                     options.settings.Set("rate", 0.05);
                     Limit(options, "TOP_TWO_SUM");
                   }});
  cases.push_back({"quantile_balancing", "quantile_balancing", AddLosses});
  cases.push_back({"quantile_balancing_groups", "quantile_balancing", [](RouterOptions& options) {
                     AddLosses(options);
                     options.settings.Set("score", std::string("SOFTMAX"));
                     Limit(options, "MAX");
                     options.capacity = {0.8};
                   }});
}

void AddSequenceCases(std::vector<RouterCase>& cases) {
  cases.push_back({"expert_choice", "expert_choice", [](RouterOptions& options) {
                     AddLosses(options);
                     options.balance_loss.coefficient = 0.0;
                     options.settings.Set("capacity_factor", 1.3);
                   }});
  cases.push_back({"expert_choice_compact", "expert_choice", [](RouterOptions& options) {
                     options.settings.Set("max_copies", int64_t{options.top_k});
                     options.settings.Set("jitter", 0.1);
                   }});
  cases.push_back({"sinkhorn", "sinkhorn", [](RouterOptions& options) {
                     AddLosses(options);
                     options.capacity = {1.0};
                   }});
  cases.push_back({"token_resonance", "token_resonance", [](RouterOptions& options) {
                     options.balance_loss = {3.0, LossScope::kGlobalBatch};
                     options.z_loss = {0.5};
                     options.settings.Set("threshold", 0.4);
                   }});
}

// Without decoded prototypes, which need the experts' side (tests/routing/lpr has them).
void AddLprCases(std::vector<RouterCase>& cases) {
  for (const char* mode : {"LEAN", "REFERENCE"}) {
    cases.push_back({std::string("lpr_") + mode, "lpr", [mode](RouterOptions& options) {
                       options.balance_loss = {3.0, LossScope::kSequence};
                       options.z_loss = {0.5};
                       options.settings = LprSettings(mode);
                       options.settings.Set("losses.prototype_repulsion", 0.3);
                       options.settings.Set("similarity", std::string("MAHALANOBIS"));
                     }});
  }
  cases.push_back({"lpr_GEOMETRIC", "lpr", [](RouterOptions& options) {
                     options.balance_loss = {3.0, LossScope::kGlobalBatch};
                     options.settings.Set("losses.soft_load", 0.3);
                     SetBias("PROPORTIONAL", 0.05, options.settings);
                     Limit(options, "MAX");
                     options.capacity = {1.0};
                     options.settings.Set("jitter", 0.1);
                   }});
  cases.push_back({"lpr_learned_unit", "lpr", [](RouterOptions& options) {
                     options.settings.Set("entropy_loss.coefficient", 0.3);
                     options.settings.Set("entropy_loss.order", 1.5);
                     options.settings.Set("prototypes", std::string("LEARNED_UNIT"));
                     options.settings.Set("losses.prototype_repulsion", 0.3);
                     SetBias("QUANTILE", 0.5, options.settings);
                   }});
}

// Nodes of unequal size, some without tokens or, for few experts, without experts.
void Prefer(RouterOptions& options) {
  options.locality.num_nodes = 4;
  options.locality.nodes_per_group = 2;
  options.locality.loss = {2.0, 4.0, 2.0, 0.5, 0.1};
  options.locality.bias = {LocalityBiasMode::kController, 0.1, 0.6, 0.3, 2.0};
}

// The same with a bias that learns, and angles, and a capacity with a floor where there can be one.
void LearnHome(RouterOptions& options) {
  Prefer(options);
  options.locality.bias = {LocalityBiasMode::kLearned, 0.1, 0.6, 0.3, 2.0, 0.01};
  options.capacity = {0.5, 1.5};
}

void LimitOutgoing(RouterOptions& options) {
  options.locality.num_nodes = 2;
  if (options.num_experts / 2 >= options.top_k) options.locality.quota = {0.3};
}

void AddLocalityCases(std::vector<RouterCase>& cases) {
  for (const char* kind :
       {"top_k", "grap", "lpr", "token_resonance", "aux_free_bias", "quantile_balancing"}) {
    cases.push_back({std::string(kind) + "_prefers_home", kind, Prefer});
  }
  for (const char* kind : {"top_k", "grap", "lpr", "token_resonance", "aux_free_bias"}) {
    cases.push_back({std::string(kind) + "_learns_home", kind, LearnHome});
  }
  for (const char* kind : {"top_k", "grap", "lpr", "quantile_balancing"}) {
    cases.push_back({std::string(kind) + "_quota", kind, LimitOutgoing});
  }
  cases.push_back({"lpr_REFERENCE_prefers_home", "lpr", [](RouterOptions& options) {
                     options.settings = LprSettings("REFERENCE");
                     Prefer(options);
                   }});
  cases.push_back({"entropy_adaptive_quota", "entropy_adaptive", [](RouterOptions& options) {
                     AddLosses(options);
                     options.capacity = {1.0};
                     LimitOutgoing(options);
                     options.locality.loss.coefficient = 1.5;
                     options.locality.bias = {LocalityBiasMode::kFixed, 0.05};
                   }});
}

}  // namespace

RouterOptions RouterCase::Options(int64_t hidden, int num_experts, int top_k) const {
  RouterOptions options = OptionsOf(kind, hidden, num_experts, top_k);
  if (change) change(options);
  return options;
}

std::vector<RouterCase> RouterCases() {
  std::vector<RouterCase> cases;
  cases.push_back({"top_k_jitter", "top_k", [](RouterOptions& options) {
                     AddLosses(options);
                     options.settings.Set("jitter", 0.1);
                     options.settings.Set("entropy_loss.order", 1.0);
                     options.settings.Set("orthogonality_loss.form", std::string("GRAM"));
                     SetBias("SIGN", 0.05, options.settings);
                   }});
  cases.push_back({"switch", "switch", [](RouterOptions& options) {
                     AddLosses(options);
                     options.capacity = {1.0};
                   }});
  for (const char* rule : {"V2", "V3"}) {
    cases.push_back(
        {std::string("group_limited_") + rule, "group_limited", [rule](RouterOptions& options) {
           AddLosses(options);
           const int groups = options.num_experts % 3 == 0 ? 3 : 1;
           const int size = options.num_experts / groups;
           options.settings.Set("rule", std::string(rule));
           options.settings.Set("num_groups", int64_t{groups});
           options.settings.Set("top_groups", int64_t{(options.top_k + size - 1) / size});
           options.settings.Set("scaling_factor", 2.5);
           SetBias("QUANTILE", 0.5, options.settings);
         }});
  }
  AddBiasCases(cases);
  cases.push_back({"grap", "grap", [](RouterOptions& options) {
                     options.balance_loss = {3.0, LossScope::kGlobalBatch};
                     options.z_loss = {0.5};
                   }});
  AddSequenceCases(cases);
  AddLprCases(cases);
  AddLocalityCases(cases);
  cases.push_back({"entropy_adaptive", "entropy_adaptive", [](RouterOptions& options) {
                     AddLosses(options);
                     options.settings.Set("min_copies", int64_t{1});
                     options.settings.Set("entropy_threshold", 0.95);
                     options.capacity = {1.0};
                   }});
  cases.push_back({"hash", "hash", {}});
  cases.push_back({"two_level_hash", "two_level_hash", [](RouterOptions& options) {
                     const int groups = options.num_experts / options.top_k;
                     options.settings.Set("num_groups", int64_t{groups});
                     options.capacity = {1.0};
                   }});
  return cases;
}

}  // namespace equipoise::routing
