#include <span>
#include <utility>

#include "comm/collectives.h"
#include "comm/exchange/row_exchange.h"

namespace equipoise::comm {
namespace {

class FlatRowExchange final : public RowExchange {
 public:
  explicit FlatRowExchange(Communicator& group) : RowExchange(group) {}

  const std::string& name() const override { return name_; }

  void AddSteps(const Context& context, const RowMatrix& rows, ConstTensorView send,
                TensorView receive, int lane, TransferSteps& steps) override {
    AddAllToAllRows(context, send, rows.From(group_.rank()), receive, rows.To(group_.rank()), lane,
                    steps);
  }

  int64_t StageRows(const RowMatrix&, int) const override { return 0; }

  void AddPlacedSteps(const Context& context, NodeMemory& memory, const PlacedExchange& exchange,
                      int lane, TransferSteps& steps) override {
    PlacedRows placed = PlacedInReach(memory, exchange);
    if (memory.topology().num_nodes() == 1) {
      AddPlacedRows(context, memory, std::move(placed), lane, steps);
      return;
    }
    const int me = group_.rank();
    std::vector<RowRun> leaving, arriving;
    RowMessages messages;
    for (int peer = 0; peer < group_.size(); ++peer) {
      const bool in_reach = memory.Reaches(peer);
      messages.send_rows.push_back(in_reach ? 0 : exchange.rows.at(me, peer));
      messages.receive_rows.push_back(in_reach ? 0 : exchange.rows.at(peer, me));
      if (in_reach) continue;
      for (const RowRun& run : exchange.routes.Between(me, peer)) leaving.push_back(run);
      for (const RowRun& run : exchange.routes.Between(peer, me)) arriving.push_back(run);
    }
    const auto allocate = [&](std::span<const RowRun> runs) {
      return context.scratch->Allocate(exchange.send.dtype(),
                                       exchange.send.shape().WithRows(NumRows(runs)));
    };
    const TensorView packed = allocate(leaving);
    const TensorView arrived = allocate(arriving);
    messages.send = packed;
    messages.receive = arrived;
    steps.AddLocal(
        [context, send = exchange.send, order = exchange.order, packed,
         runs = Packed(std::move(leaving))] { CopyRuns(context, send, order, runs, packed); });
    AddPlacedRows(context, memory, std::move(placed), std::move(messages), lane, steps);
    steps.AddLocal(
        [context, arrived, receive = exchange.receive, runs = Arriving(std::move(arriving))] {
          CopyRuns(context, arrived, {}, runs, receive);
        });
  }

 private:
  const std::string name_ = "flat";
};

}  // namespace

std::unique_ptr<RowExchange> MakeFlatRowExchange(Communicator& group) {
  return std::make_unique<FlatRowExchange>(group);
}

}  // namespace equipoise::comm
