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

 private:
  const std::string name_ = "flat";
};

}  // namespace

std::unique_ptr<RowExchange> MakeFlatRowExchange(Communicator& group) {
  return std::make_unique<FlatRowExchange>(group);
}

}  // namespace equipoise::comm
