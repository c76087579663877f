#ifndef EQUIPOISE_ROUTING_SELECTION_BIAS_H_
#define EQUIPOISE_ROUTING_SELECTION_BIAS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "core/device/context.h"
#include "core/tensor/tensor_view.h"

namespace equipoise::routing {

// How the bias b of an expert follows its load n, whose mean over the experts is nbar.
enum class BiasRule : uint8_t {
  kNone,
  // b += rate * sign(nbar - n) (Wang et al., "Auxiliary-loss-free load balancing strategy for
  // mixture-of-experts", 2024; DeepSeek-V3).
  kSign,
  // b += rate * clamp((nbar - n) / nbar, -1, 1), then centred: no chatter around balance.
  kProportional,
  // Quantile balancing (Su, 2026): with alpha_t the (K + 1)-th largest of s + b of token t, and
  // m_te = s_te + b_e - alpha_t the margin by which e is chosen, b_e -= rate * the margin that
  // exactly K T / E tokens exceed. At rate 1 the step that alone would balance e. Margins are those
  // of the choice among all experts: with a group limit the loop balances near, not exactly.
  kQuantile,
};

struct SelectionBiasOptions {
  BiasRule rule = BiasRule::kNone;
  // kSign, kProportional: in units of the score, for each step. kQuantile: a fraction, in (0, 1].
  double rate = 0.0;
  // Take the mean off the biases after each step. A common shift chooses nothing; it only keeps
  // numbers small. kProportional always does.
  bool centre = false;
  // kQuantile alone: margins are counted in `bins` intervals of (-range, range), what lies beyond
  // in the outermost. Their edges are range * u |u|, u evenly spaced: narrowest at 0, where the
  // quantile of a balanced expert lies. Counts add up over ranks and micro-batches, so the
  // quantile does not depend on the layout; it is interpolated linearly inside its interval.
  int bins = 128;
  double range = 1.0;
};

// InvalidArgument (option_problem.h, settings `rate`, ...) unless the settings are finite and in
// range.
absl::Status CheckSelectionBias(const SelectionBiasOptions& options);

// A bias of each expert that is added to scores to choose by, and to nothing else: gates and losses
// take the scores without it, so it has no gradient. One router's; belongs to its thread.
class SelectionBias {
 public:
  SelectionBias(const SelectionBiasOptions& options, int num_experts, int top_k);

  bool enabled() const { return options_.rule != BiasRule::kNone; }
  // Doubles of the router's sums that the rule takes besides the counts: [E, bins] for kQuantile.
  int64_t num_statistics() const;

  // ranking [n, E] += b.
  void AddTo(const Context& context, TensorView ranking) const;
  // Counts the margins of ranking [n, E], which holds s + b. `sums` is this bias's segment.
  void Accumulate(const Context& context, ConstTensorView ranking, std::span<double> sums) const;

  // b [E]; none when not enabled.
  std::span<const double> state() const { return bias_; }
  absl::Status SetState(std::span<const double> state);
  // Moves b by a step's counts [E] and segment (host values), over `tokens` tokens.
  void EndStep(std::span<const double> counts, std::span<const double> sums, int64_t tokens);

 private:
  bool counts_margins() const;
  double Edge(int bin) const;
  // The margin that `wanted` of the tokens counted in `histogram` [bins] exceed.
  double Quantile(std::span<const double> histogram, double wanted) const;
  void Centre();

  const SelectionBiasOptions options_;
  const int num_experts_;
  const int top_k_;
  std::vector<double> bias_;
};

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_SELECTION_BIAS_H_
