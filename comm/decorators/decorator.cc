#include "comm/decorators/decorator.h"

#include <utility>

#include "core/base/check.h"
#include "core/base/status_macros.h"

namespace equipoise::comm {

absl::StatusOr<Work> Decorator::Barrier(const Context& context) {
  return Run(context, {.verb = Verb::kBarrier});
}

absl::StatusOr<Work> Decorator::Broadcast(const Context& context, TensorView data, int root) {
  return Run(context, {.verb = Verb::kBroadcast, .receive = data, .root = root});
}

absl::StatusOr<Work> Decorator::AllReduce(const Context& context, TensorView data, ReduceOp op) {
  return Run(context, {.verb = Verb::kAllReduce, .receive = data, .op = op});
}

absl::StatusOr<Work> Decorator::ReduceScatter(const Context& context, ConstTensorView send,
                                              TensorView receive) {
  return Run(context, {.verb = Verb::kReduceScatter, .send = send, .receive = receive});
}

absl::StatusOr<Work> Decorator::AllGather(const Context& context, ConstTensorView send,
                                          TensorView receive) {
  return Run(context, {.verb = Verb::kAllGather, .send = send, .receive = receive});
}

absl::StatusOr<Work> Decorator::AllToAllRows(const Context& context, ConstTensorView send,
                                             std::span<const int64_t> send_rows, TensorView receive,
                                             std::span<const int64_t> receive_rows) {
  return Run(context, {.verb = Verb::kAllToAllRows,
                       .send = send,
                       .receive = receive,
                       .send_rows = send_rows,
                       .receive_rows = receive_rows});
}

absl::StatusOr<std::unique_ptr<Communicator>> Decorator::Split(int color, int key,
                                                               const std::string& name) {
  EQ_RETURN_IF_ERROR(BeforeSplit());
  EQ_ASSIGN_OR_RETURN(std::unique_ptr<Communicator> group, inner_->Split(color, key, name));
  return Wrap(std::move(group));
}

absl::StatusOr<Work> Decorator::ExchangeWrites(SharedWrites writes) {
  return Run({}, {.verb = Verb::kExchangeWrites, .writes = &writes});
}

absl::StatusOr<Work> Decorator::Forward(const Context& context, const Call& call) {
  switch (call.verb) {
    case Verb::kBarrier:
      return inner_->Barrier(context);
    case Verb::kBroadcast:
      return inner_->Broadcast(context, call.receive, call.root);
    case Verb::kAllReduce:
      return inner_->AllReduce(context, call.receive, call.op);
    case Verb::kReduceScatter:
      return inner_->ReduceScatter(context, call.send, call.receive);
    case Verb::kAllGather:
      return inner_->AllGather(context, call.send, call.receive);
    case Verb::kAllToAllRows:
      return inner_->AllToAllRows(context, call.send, call.send_rows, call.receive,
                                  call.receive_rows);
    case Verb::kExchangeWrites:
      return inner_->ExchangeWrites(std::move(*call.writes));
    case Verb::kSplit:
    case Verb::kAllocateShared:
      break;
  }
  EQ_CHECK(false) << Name(call.verb) << " is not forwarded as a call";
  return Work();
}

}  // namespace equipoise::comm
