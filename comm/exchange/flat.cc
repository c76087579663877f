#include "comm/collectives.h"
#include "comm/exchange/row_exchange.h"

namespace equipoise::comm {
namespace {

class FlatRowExchange final : public RowExchange {
 public:
  explicit FlatRowExchange(Communicator& group) : group_(group) {}

  const std::string& name() const override { return name_; }

  absl::StatusOr<Work> Start(const Context& context, const RowCounts& counts, ConstTensorView send,
                             TensorView receive) override {
    return StartAllToAllRows(group_, context, send, counts.send, receive, counts.receive);
  }

 private:
  const std::string name_ = "flat";
  Communicator& group_;
};

}  // namespace

std::unique_ptr<RowExchange> MakeFlatRowExchange(Communicator& group) {
  return std::make_unique<FlatRowExchange>(group);
}

}  // namespace equipoise::comm
