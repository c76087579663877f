#ifndef EQUIPOISE_ROUTING_ROUTER_H_
#define EQUIPOISE_ROUTING_ROUTER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/device/context.h"
#include "core/nn/parameter.h"
#include "core/tensor/tensor_view.h"
#include "routing/locality.h"
#include "routing/settings.h"

namespace equipoise::routing {

// The tokens over which an auxiliary loss that is not linear in them is taken.
enum class LossScope : uint8_t {
  // All tokens of the step. With gradient accumulation: the previous step's load, this step's
  // probabilities (the load of the whole step is not known at the first backward).
  kGlobalBatch,
  // The tokens of the step so far. Depends on how the step is cut; for comparisons.
  kRunning,
  // Each rank's micro-batch by itself. Depends on the layout; for comparisons.
  kMicroBatch,
  // Each sequence by itself.
  kSequence,
};

// Switch Transformer (Fedus et al., 2021, eq. 4) and GShard, for K active experts:
// coefficient * E * sum_e f_e P_e, f_e = copies of e / (K * tokens), P_e = mean probability of e.
// Equals the coefficient when the load is even.
struct BalanceLossOptions {
  double coefficient = 0.0;
  LossScope scope = LossScope::kGlobalBatch;
};

// Router z-loss (Zoph et al., ST-MoE, 2022, eq. 5): coefficient * mean_t logsumexp(logits_t)^2.
struct ZLossOptions {
  double coefficient = 0.0;
};

// At most ceil(factor * S * K / E) copies per expert and sequence; the rest are dropped, lowest
// gate first (ties: the later token). Per sequence, so that what is dropped does not depend on the
// layout. factor = 0: dropless. With a floor a sequence's capacity is at least ceil(floor *
// CapacityFloor(mean cosine of its copies)): see routing/capacity_floor.h. floor = 0: none.
struct CapacityOptions {
  double factor = 0.0;
  double floor = 0.0;
};

struct RouterOptions {
  std::string kind = "top_k";  // a name of the registry
  Settings settings;           // of that kind
  int64_t hidden = 0;          // H
  int num_experts = 0;         // E
  int top_k = 0;               // K, 1 <= K <= E
  int layer = 0;               // for random draws
  uint64_t seed = 0;
  // Prefix of logical names, for example "model.layers.3.mlp.".
  std::string name_prefix;
  double init_stddev = 0.02;  // of its matrices' initial normal draws
  BalanceLossOptions balance_loss;
  ZLossOptions z_loss;
  CapacityOptions capacity;
  LocalityOptions locality;
  // Whether to tell the angles of tokens and their experts, where they are defined (Figures).
  bool measure_angles = false;
};

struct RouterInput {
  ConstTensorView x;          // [T, H]
  ConstTensorView token_ids;  // I32 [T], vocabulary ids
  ConstTensorView domains;    // I32 [T], index of the data's domain; absent: one domain
  // I32 [T], home nodes in [0, locality.num_nodes); absent: all of node 0. A sequence has one.
  ConstTensorView nodes;
  int64_t sequence_length = 1;
  int64_t first_token = 0;  // index of row 0 among all tokens of the step
  int64_t step = 0;
  bool training = true;  // false: evaluation; no noise, and nothing that looks ahead for balance
};

// Written by Forward, in memory of the caller's.
struct RouterOutput {
  TensorView expert_ids;  // I32 [T, K]; -1: no copy. Descending score, ties to the lowest id
  TensorView gates;       // [T, K]; 0 where the id is -1
  TensorView saved;       // [T, saved_per_token()], private to the router
  TensorView partials;    // F64 [num_statistics()], this micro-batch's sums
};

struct RouterBackwardInput {
  ConstTensorView dgates;  // [T, K]
  // [T, H]: sum over a token's copies of the gradient of the experts' input. Given to routers that
  // change that input (adds_to_expert_input()), absent for others.
  ConstTensorView dexpert_input;
  // F64 [num_statistics()]: the sums that terms of scope kGlobalBatch or kRunning take their load
  // from. Absent: those terms give no gradient (first step under accumulation). A segment of NaNs
  // is not known, and absent for those who read it (a loss that a resumed run has added).
  ConstTensorView statistics;
  // Tokens that those sums run over, and tokens of the whole step (what means divide by).
  int64_t statistics_tokens = 0;
  int64_t batch_tokens = 0;
};

// A named run of a router's sums or of its state, in their order.
struct Segment {
  std::string name;  // one of a kind in its router; a loss's is that of its LossTerm
  int64_t size = 0;
  // What the numbers are of, where name and size do not tell: of use under the same meaning alone.
  std::string meaning = {};
  // Of sums: whether the next step's backward pass may read them.
  bool carried = false;
};

struct LossTerm {
  std::string name;    // "balance", "z"
  double value = 0.0;  // weighted by its coefficient: what the loss contains
};

// What else a router tells of a step, by its key in telemetry.
using RouterFigures = std::vector<std::pair<std::string, double>>;

// Decides which experts each token goes to, and with what weights; pure mathematics of this rank's
// tokens. All that must be summed over ranks leaves Forward in one buffer of doubles, which begins
// with the counts:
//   [0, E)  copies each expert was chosen for, before capacity (exact integers)
//   [E]     copies dropped by capacity
//   [E + 1] sum over tokens of the entropy of the probabilities, in nats; 0 without scores
//   ...     what the router's losses need
// One per layer and rank; belongs to one thread; parameters live in the registry given at creation.
class Router {
 public:
  virtual ~Router() = default;

  virtual const std::string& kind() const = 0;
  // Columns of expert_ids and gates: the most copies a token can have. K for most.
  virtual int64_t max_copies_per_token() const = 0;
  virtual int64_t num_statistics() const = 0;
  virtual int64_t saved_per_token() const = 0;
  // What the sums are, so that a checkpoint's are found again where losses were added or removed.
  virtual std::vector<Segment> sum_segments() const;
  // Where statistics for Backward come from; kSequence and kMicroBatch need none.
  virtual LossScope statistics_scope() const = 0;

  virtual void Forward(const Context& context, const RouterInput& input,
                       const RouterOutput& output) const = 0;

  // Adds this router's share of the gradient to dx [T, H] and to its parameters' gradients: that
  // of the gates, and of every auxiliary loss.
  virtual void Backward(const Context& context, const RouterInput& input,
                        const RouterOutput& output, const RouterBackwardInput& backward,
                        TensorView dx) const = 0;

  // Whether the experts take x plus a term of the router's (LPR's decoded prototypes).
  virtual bool adds_to_expert_input() const { return false; }
  // Adds that term to the gathered copies [C, H]; source_rows I64 [C] are their tokens. Folded into
  // dispatch so that no second copy of x is written. Called between Forward and Backward.
  virtual void AddToExpertInput(const Context& context, const RouterInput& input,
                                const RouterOutput& output, ConstTensorView source_rows,
                                TensorView copies) const;

  // What is neither a parameter nor an activation, such as a selection bias: doubles, the same on
  // all ranks, changed by EndStep alone, kept in checkpoints.
  virtual std::span<const double> state() const { return {}; }
  virtual std::vector<Segment> state_segments() const;
  // InvalidArgument when it is not as long as state().
  virtual absl::Status SetState(std::span<const double> state);
  // Told after the parameters' update with the step's reduced sums (host values): moves the state,
  // and parameters that obey a constraint. The same on all ranks.
  virtual void EndStep(const Context& context, std::span<const double> sums, int64_t tokens);

  // The auxiliary losses of a step from its reduced sums (host values, all micro-batches and
  // ranks). `load` are the sums that Backward took as `statistics`: the step's own, or, under
  // accumulation, the previous step's; empty at the first such step.
  virtual std::vector<LossTerm> Losses(std::span<const double> sums, int64_t tokens,
                                       std::span<const double> load, int64_t load_tokens) const = 0;

  // Of a step's reduced sums (host values) and of the state that it was routed with.
  virtual RouterFigures Figures(std::span<const double> sums) const;
  // Whether the capacity of this router can be kept above a floor.
  virtual bool has_capacity_floor() const { return false; }
};

// Makes the router named options.kind and declares its parameters. InvalidArgument lists the known
// names (with the nearest) or says which setting cannot be.
absl::StatusOr<std::unique_ptr<Router>> MakeRouter(const RouterOptions& options,
                                                   ParameterRegistry& parameters);

// Names of all routers, in the order of the registry.
std::vector<std::string> RouterKinds();

}  // namespace equipoise::routing

#endif  // EQUIPOISE_ROUTING_ROUTER_H_
