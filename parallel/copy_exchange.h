#ifndef EQUIPOISE_PARALLEL_COPY_EXCHANGE_H_
#define EQUIPOISE_PARALLEL_COPY_EXCHANGE_H_

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "comm/communicator.h"
#include "comm/exchange/row_exchange.h"
#include "comm/exchange/transfer.h"
#include "comm/topology.h"
#include "parallel/expert_exchange.h"

namespace equipoise::parallel {

// Every copy of a token travels by itself, and comes home by itself, where the gates weigh it: T K
// H elements leave a rank, whatever lies between it and their experts.
class CopyExchange final : public ExpertExchange {
 public:
  // `rows` moves rows within the setting's group.
  CopyExchange(Setting setting, std::unique_ptr<comm::RowExchange> rows)
      : ExpertExchange(std::move(setting)), rows_(std::move(rows)) {}

  const std::string& name() const override { return rows_->name(); }
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
  // Fills all but `gates` and `place`. expert_ids are the chunk's.
  void PlanChunk(const Context& context, Workspace& space, const ExchangeCounts& counts, int chunk,
                 ConstTensorView expert_ids, ExchangePlan& plan) const;
  // Dispatch, with a block.
  absl::StatusOr<PendingRows> DispatchInPlace(const Context& context, const ExchangePlan& plan,
                                              ConstTensorView x, const InputTerm& term);

  // What a plan's block holds for a rank, in bytes from its beginning: rows for its experts, their
  // gradients, copies that are home (and later their gradients), and what it passes on, either way.
  struct Layout {
    size_t rows, drows, home, stage_to_experts, stage_to_home, end;
  };
  Layout LayoutOf(const ExchangePlan& plan, int rank) const;
  absl::Status AllocateBlock(const Context& context, ExchangePlan& plan) const;
  // A buffer of this rank in the block.
  TensorView InBlock(const ExchangePlan& plan, size_t Layout::*part, const Shape& shape,
                     DType dtype) const;
  // The two directions by way of the block: rows of `send`, by `order` if there is one, into
  // `receive`, which is `part` of this rank's.
  void AddInPlaceToExperts(const Context& context, const ExchangePlan& plan, ConstTensorView send,
                           ConstTensorView order, size_t Layout::*part, TensorView receive,
                           comm::TransferSteps& steps);
  void AddInPlaceToHome(const Context& context, const ExchangePlan& plan, ConstTensorView send,
                        TensorView receive, comm::TransferSteps& steps);
  // Of every rank in reach; null of others.
  std::vector<std::byte*> Buffers(const ExchangePlan& plan, size_t Layout::*part) const;

  // The two directions as messages, of copies [C, H] in the order of plan.copies and rows
  // [num_rows, H] sorted by expert: their steps, and where the rows will lie, in `space`. The same
  // memory comes back, and no step, when the group is one rank.
  TensorView AddToExperts(const Context& context, Workspace& space, const ExchangePlan& plan,
                          TensorView copies, comm::TransferSteps& steps);
  // With a block they lie in it.
  TensorView AddToHome(const Context& context, Workspace& space, const ExchangePlan& plan,
                       TensorView rows, comm::TransferSteps& steps);

  std::unique_ptr<comm::RowExchange> rows_;
};

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_COPY_EXCHANGE_H_
