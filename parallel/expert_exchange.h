#ifndef EQUIPOISE_PARALLEL_EXPERT_EXCHANGE_H_
#define EQUIPOISE_PARALLEL_EXPERT_EXCHANGE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "comm/communicator.h"
#include "comm/exchange/node_memory.h"
#include "comm/exchange/node_transport.h"
#include "comm/exchange/row_exchange.h"
#include "comm/exchange/row_multicast.h"
#include "comm/exchange/transfer.h"
#include "comm/link_estimate.h"
#include "comm/link_model.h"
#include "comm/topology.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "core/device/context.h"
#include "core/tensor/dtype.h"
#include "core/tensor/tensor_view.h"
#include "parallel/copy_routes.h"
#include "parallel/exchange_counts.h"
#include "parallel/exchange_forecast.h"
#include "parallel/exchange_learner.h"
#include "routing/dispatch_plan.h"
#include "routing/placement.h"

namespace equipoise::parallel {

// Where the copies of one chunk of an MoE layer's tokens go, as far as it concerns this rank. Made
// once per layer and micro-batch; both directions, forward and backward, take it. T is the number
// of this rank's tokens in the chunk. Views live in the workspace that `Plan` was given.
struct ExchangePlan {
  int64_t num_rows = 0;  // copies that this rank's experts compute
  TensorView offsets;    // I64 [E_r + 1]: run of each local expert among them
  comm::WaitPlace place;

  // Which of its algorithms an AutoExchange has chosen.
  int candidate = 0;

  // The rest belongs to the algorithm that made the plan.
  // Memory of every rank that ranks of its node write the plan's rows into; null: all rows travel
  // as messages.
  std::shared_ptr<const comm::NodeMemory::Block> block;
  // Copies of the tokens at hand: of this rank's (CopyExchange), or of those that came to its
  // experts (TokenExchange). Their gates.
  routing::DispatchPlan copies;
  TensorView gates;
  // CopyExchange: rows between ranks; with a block, where they lie, else arrival_order.h.
  comm::RowMatrix to_experts;
  comm::RowMatrix to_home;
  std::shared_ptr<const CopyRoutes> routes;
  TensorView arrival_of;
  TensorView sorted_of;
  // TokenExchange; with a block, where its parts are.
  comm::MulticastPlan tokens;
  comm::MulticastBuffers rows_in_place;
  comm::MulticastBuffers gates_in_place;
};

// Rows that are on their way to this rank.
class PendingRows {
 public:
  // There already.
  explicit PendingRows(TensorView rows) : rows_(rows) {}
  PendingRows(comm::TransferQueue& queue, comm::TransferQueue::Ticket ticket, TensorView rows)
      : queue_(&queue), ticket_(ticket), rows_(rows) {}

  // True when they are there; moves them on, and never blocks.
  bool Test() { return queue_ == nullptr || queue_->Test(ticket_); }
  // Returns when they are there. May be called again.
  absl::StatusOr<TensorView> Wait() {
    if (queue_ != nullptr) EQ_RETURN_IF_ERROR(queue_->Wait(ticket_));
    return rows_;
  }

 private:
  comm::TransferQueue* queue_ = nullptr;
  comm::TransferQueue::Ticket ticket_ = 0;
  TensorView rows_;
};

// Moves tokens to the ranks of their experts, and what the experts make of them back. The one place
// where routing's choice meets comm's rows. All algorithms give each expert the same rows in the
// same order (source rank, token), and the same sums up to rounding.
//
// The four transfers of a chunk come in pairs, each the other's transpose: Dispatch and
// DispatchBackward, Combine and CombineBackward. Collective over the group, also without tokens.
// Each returns when it is under way; several may be, if all ranks begin them in the same order.
// What they are given must stay as it is, and results may not be read, until their Wait, or Drain.
// They take memory from context.scratch and leave it behind: the caller opens a frame for all that
// are under way together, and drains before it ends. What they give may also lie in memory that the
// plan holds, and is there as long as the plan.
//
// MPI moves bytes only inside calls: give queue() to long computations as Context::progress.
//
// One per rank, for all layers; belongs to one thread; the communicator outlives it.
class ExpertExchange {
 public:
  virtual ~ExpertExchange() = default;

  // As in configurations: "flat", "two_level", "two_level_dedup", "auto".
  virtual const std::string& name() const = 0;
  // The name of the algorithm that a plan of this exchange uses: never "auto".
  virtual const std::string& AlgorithmOf(const ExchangePlan&) const { return name(); }
  const routing::ExpertPlacement& placement() const { return placement_; }
  const comm::Topology& topology() const { return topology_; }
  comm::TransferQueue& queue() { return *queue_; }
  // As exchanges have shown them so far; and, by algorithm, what exchanges take over what links
  // explain.
  const comm::LinkModel& links() const { return learner_.links(); }
  std::vector<std::pair<std::string, double>> factors() const { return learner_.factors(); }

  // Into how many chunks it cuts a layer's tokens, for one to travel while another is computed.
  int num_chunks() const { return num_chunks_; }

  // The one exchange of counts of a layer, whatever the algorithm; also of what the last forward
  // pass took on each rank. expert_ids I32 [T, K], -1 for no copy, of all chunks. `place` names the
  // wait.
  absl::StatusOr<ExchangeCounts> Count(const Context& context, ConstTensorView expert_ids,
                                       const comm::WaitPlace& place) {
    // What plans have given back is free on every rank once all have come to the exchange of
    // counts.
    if (node_memory_ != nullptr) node_memory_->Settle();
    EQ_ASSIGN_OR_RETURN(ExchangeCounts counts,
                        ExchangeCounts::Gather(group_, context, topology_, placement_, expert_ids,
                                               num_chunks_, place, learner_.last_pass()));
    learner_.Learn(counts.last_passes());
    return counts;
  }

  // A plan for each chunk, in order: chunk i of this rank's tokens is ChunkOfTokens(T, i, n). Takes
  // what Count gave for these ids; gates [T, K]. `place` names the plans' waits, also the later
  // ones.
  virtual absl::StatusOr<std::vector<ExchangePlan>> Plan(const Context& context, Workspace& space,
                                                         const ExchangeCounts& counts,
                                                         ConstTensorView expert_ids,
                                                         TensorView gates,
                                                         const comm::WaitPlace& place) = 0;

  // A step, or an evaluation, begins: what "auto" chooses by stays as it is until the next one.
  void BeginStep() { learner_.BeginStep(); }
  // What is expected of plans that Plan made of `counts`. Of ids [T, K] and gates [T, K] only the
  // sizes matter.
  ExchangeForecast Forecast(const ExchangeCounts& counts, const ExchangePlan& plan,
                            ConstTensorView expert_ids, ConstTensorView gates) const {
    const std::string& algorithm = AlgorithmOf(plan);
    return learner_.Forecast(algorithm, TransfersOf(algorithm, counts, expert_ids, gates));
  }
  // The forward pass of these plans begins.
  void BeginForward(const ExchangeForecast& forecast) { learner_.Begin(forecast); }
  // Returns when its transfers are over, with their times.
  absl::StatusOr<comm::TransferTimes> EndForward() {
    EQ_ASSIGN_OR_RETURN(const comm::TransferTimes times, EndPass());
    learner_.End(times);
    return times;
  }
  // Returns when nothing is under way, with the times since the last pass.
  absl::StatusOr<comm::TransferTimes> EndPass() {
    EQ_RETURN_IF_ERROR(Drain());
    return queue_->TakeTimes();
  }

  // Adds to rows [n, H], which hold tokens I64 [n] of this rank's chunk: what experts read besides
  // x. Called before Dispatch returns.
  using InputTerm = std::function<void(ConstTensorView tokens, TensorView rows)>;

  // x [T, H] -> rows [num_rows, H] in `space`, sorted by expert. `term` may be empty.
  virtual absl::StatusOr<PendingRows> Dispatch(const Context& context, Workspace& space,
                                               const ExchangePlan& plan, ConstTensorView x,
                                               const InputTerm& term) = 0;
  // dx [T, H], the rows that are awaited, becomes the sum over a token's copies of drows
  // [num_rows, H].
  virtual absl::StatusOr<PendingRows> DispatchBackward(const Context& context,
                                                       const ExchangePlan& plan, TensorView drows,
                                                       TensorView dx) = 0;

  // Adds to y [T, H] the sum over a token's copies of gate * outputs [num_rows, H]. The rows that
  // are awaited are what CombineBackward wants: outputs themselves, or memory in `space`.
  virtual absl::StatusOr<PendingRows> Combine(const Context& context, Workspace& space,
                                              const ExchangePlan& plan, TensorView outputs,
                                              TensorView y) = 0;
  // dy [T, H] -> gradients of the outputs [num_rows, H], in context.scratch, and of the gates:
  // dgates [T, K], 0 where there is no copy, which are there after Drain.
  virtual absl::StatusOr<PendingRows> CombineBackward(const Context& context,
                                                      const ExchangePlan& plan,
                                                      ConstTensorView kept, ConstTensorView dy,
                                                      TensorView dgates) = 0;

  // Returns when nothing is under way.
  absl::Status Drain() { return queue_->Drain(); }

  // Lanes of the queue: each way takes two phases at most.
  static constexpr int kToExperts = 0;
  static constexpr int kHome = 2;
  static constexpr int kGatesHome = 4;
  static constexpr int kNumLanes = 6;

  // How rows travel inside nodes, as far as there is memory for it.
  comm::NodeTransport inside_nodes() const {
    return node_memory_ != nullptr && node_memory_->available() ? comm::NodeTransport::kSharedMemory
                                                                : comm::NodeTransport::kMessages;
  }
  // Bytes of this rank that the other ranks of its node can write.
  size_t node_memory_bytes() const { return node_memory_ == nullptr ? 0 : node_memory_->bytes(); }

  // What every algorithm has. `topology` is that of `group`; `queue` has kNumLanes lanes of it, and
  // may be shared; so may the memory of nodes, where there is any, for rows of `row_bytes`.
  struct Setting {
    comm::Communicator& group;
    comm::Topology topology;
    routing::ExpertPlacement placement;
    std::shared_ptr<comm::TransferQueue> queue;
    int num_chunks = 1;
    std::shared_ptr<comm::NodeMemory> node_memory = nullptr;
    int64_t row_bytes = 0;
    std::shared_ptr<comm::LinkEstimate> estimate;  // never null
  };

 protected:
  explicit ExpertExchange(Setting setting)
      : group_(setting.group),
        topology_(std::move(setting.topology)),
        placement_(std::move(setting.placement)),
        queue_(std::move(setting.queue)),
        num_chunks_(setting.num_chunks),
        node_memory_(std::move(setting.node_memory)),
        row_bytes_(setting.row_bytes),
        learner_(topology_, std::move(setting.estimate)) {
    EQ_CHECK_EQ(placement_.num_owners(), group_.size());
    EQ_CHECK_EQ(topology_.num_ranks(), group_.size());
  }

  absl::StatusOr<PendingRows> Begin(comm::TransferSteps steps, const char* what,
                                    const ExchangePlan& plan, TensorView rows) {
    EQ_ASSIGN_OR_RETURN(const comm::TransferQueue::Ticket ticket,
                        queue_->Begin(std::move(steps), {.name = what, .place = plan.place}));
    return PendingRows(*queue_, ticket, rows);
  }

  // What an algorithm would send; see ForecastLayer.
  std::vector<ExpectedTransfers> TransfersOf(const std::string& algorithm,
                                             const ExchangeCounts& counts,
                                             ConstTensorView expert_ids,
                                             ConstTensorView gates) const {
    return ForecastLayer(algorithm, topology_, placement_, counts,
                         {.row = row_bytes_, .ids = RowBytes(expert_ids), .gates = RowBytes(gates)},
                         inside_nodes());
  }

  comm::Communicator& group_;
  const comm::Topology topology_;
  const routing::ExpertPlacement placement_;
  const std::shared_ptr<comm::TransferQueue> queue_;
  const int num_chunks_;
  const std::shared_ptr<comm::NodeMemory> node_memory_;
  const int64_t row_bytes_;
  ExchangeLearner learner_;

 private:
  static int64_t RowBytes(ConstTensorView rows) {
    return rows.dim(1) * static_cast<int64_t>(SizeOf(rows.dtype()));
  }
};

// What "auto" chooses by.
struct ExchangeCosts {
  // Null: links cost nothing.
  std::shared_ptr<comm::LinkEstimate> links = nullptr;
  int64_t row_bytes = 0;  // of a token's H elements
};

// An estimate that starts from `links`; those that were not measured stay as they are.
std::shared_ptr<comm::LinkEstimate> MakeLinkEstimate(const comm::LinkModel& links,
                                                     const comm::MeasuredLinks& measured);

struct ExchangeOptions {
  ExchangeCosts costs = {};
  // Into how many chunks a layer's tokens are cut; at least 1.
  int num_chunks = 1;
  // Shared memory needs to know costs.row_bytes.
  comm::NodeTransport inside_nodes = comm::NodeTransport::kSharedMemory;
};

// Makes the algorithm `name` for `group`, which holds every expert once: placement.num_owners() ==
// group.size(). Collective. InvalidArgument lists the known names.
absl::StatusOr<std::unique_ptr<ExpertExchange>> MakeExpertExchange(
    const std::string& name, comm::Communicator& group, const Context& context,
    routing::ExpertPlacement placement, const ExchangeOptions& options = {});

// All names, as in configurations.
std::vector<std::string> ExpertExchangeNames();

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_EXPERT_EXCHANGE_H_
