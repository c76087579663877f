#ifndef EQUIPOISE_PARALLEL_TOKEN_EXCHANGE_H_
#define EQUIPOISE_PARALLEL_TOKEN_EXCHANGE_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "comm/communicator.h"
#include "comm/exchange/row_multicast.h"
#include "comm/exchange/transfer.h"
#include "comm/topology.h"
#include "parallel/expert_exchange.h"

namespace equipoise::parallel {

// A token crosses to each node that has experts of its once, with its ids and gates, and goes on to
// the ranks that own them; there it is one token among those that came, and is spread over the
// rank's experts and weighed as if the rank were alone. Partial sums travel back, one row for each
// rank inside the node and one for each node across.
//
// Bytes across, of a token of H elements: nodes that it reaches, instead of copies, times H, and
// 2 K numbers besides. The sum over experts is in another order than CopyExchange's.
class TokenExchange final : public ExpertExchange {
 public:
  // `multicast` moves rows within the setting's group.
  TokenExchange(Setting setting, comm::RowMulticast multicast)
      : ExpertExchange(std::move(setting)), multicast_(std::move(multicast)) {}

  const std::string& name() const override { return name_; }
  absl::StatusOr<std::vector<ExchangePlan>> Plan(const Context& context, Workspace& space,
                                                 const ExchangeCounts& counts,
                                                 ConstTensorView expert_ids, TensorView gates,
                                                 const comm::WaitPlace& place) override;
  absl::StatusOr<PendingRows> Dispatch(const Context& context, Workspace& space,
                                       const ExchangePlan& plan, ConstTensorView x,
                                       const InputTerm& term) override;
  absl::StatusOr<PendingRows> DispatchBackward(const Context& context, const ExchangePlan& plan,
                                               TensorView drows, TensorView dx) override;
  absl::StatusOr<PendingRows> Combine(const Context& context, Workspace& space,
                                      const ExchangePlan& plan, TensorView outputs,
                                      TensorView y) override;
  absl::StatusOr<PendingRows> CombineBackward(const Context& context, const ExchangePlan& plan,
                                              ConstTensorView kept, ConstTensorView dy,
                                              TensorView dgates) override;

 private:
  // Of every chunk; masks in context.scratch.
  std::vector<comm::MulticastTargets> FindTargets(const Context& context,
                                                  const ExchangeCounts& counts,
                                                  ConstTensorView expert_ids) const;
  // What a plan's block holds for a rank, in bytes from its beginning: tokens that come to it, and
  // what comes back of those that it passes on, in rows and in gates.
  struct Layout {
    size_t received, passed, passed_gates, end;
  };
  Layout LayoutOf(const comm::MulticastTargets& targets, size_t gate_bytes, int rank) const;
  // Gives a plan its block, and says where its parts lie.
  absl::Status AllocateBlock(const Context& context, const comm::MulticastTargets& targets,
                             size_t gate_bytes, ExchangePlan& plan) const;
  // Adds the steps that bring sums of rows home, one way or the other.
  void AddReduction(const Context& context, const ExchangePlan& plan, ConstTensorView rows,
                    bool accumulate, TensorView y, int lane, comm::TransferSteps& steps) const;
  // Adds the steps that bring tokens x [T, W], with their term, to this rank: [came, W], in
  // context.scratch or the block.
  TensorView AddArrival(const Context& context, const ExchangePlan& plan, ConstTensorView x,
                        const InputTerm& term, comm::TransferSteps& steps) const;
  // Plans this rank's experts over the tokens that came, by their labels.
  void SpreadOverExperts(const Context& context, Workspace& space, ConstTensorView labels,
                         ConstTensorView gates, ExchangePlan& plan) const;

  const std::string name_ = "two_level_dedup";
  const comm::RowMulticast multicast_;
};

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_TOKEN_EXCHANGE_H_
