#ifndef EQUIPOISE_COMM_COLLECTIVES_H_
#define EQUIPOISE_COMM_COLLECTIVES_H_

#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "comm/communicator.h"

// The front of every collective: checks shapes, types, divisibility and rank ranges once, takes
// the shortcut for groups of one, and then calls the backend's verb. Arguments that cannot fit
// (block sizes, types) give InvalidArgument naming the communicator, the verb and the values.
namespace equipoise::comm {

// Asynchronous forms. See Communicator for what lands where.
absl::StatusOr<Work> StartAllReduce(Communicator& group, const Context& context, TensorView data,
                                    ReduceOp op = ReduceOp::kSum);
absl::StatusOr<Work> StartReduceScatter(Communicator& group, const Context& context,
                                        ConstTensorView send, TensorView receive);
absl::StatusOr<Work> StartAllGather(Communicator& group, const Context& context,
                                    ConstTensorView send, TensorView receive);
absl::StatusOr<Work> StartAllToAllRows(Communicator& group, const Context& context,
                                       ConstTensorView send, std::span<const int64_t> send_rows,
                                       TensorView receive, std::span<const int64_t> receive_rows);

// The same, done when they return.
absl::Status Barrier(Communicator& group, const Context& context, const WaitOptions& wait = {});
absl::Status Broadcast(Communicator& group, const Context& context, TensorView data, int root,
                       const WaitOptions& wait = {});
absl::Status AllReduce(Communicator& group, const Context& context, TensorView data,
                       ReduceOp op = ReduceOp::kSum, const WaitOptions& wait = {});
absl::Status ReduceScatter(Communicator& group, const Context& context, ConstTensorView send,
                           TensorView receive, const WaitOptions& wait = {});
absl::Status AllGather(Communicator& group, const Context& context, ConstTensorView send,
                       TensorView receive, const WaitOptions& wait = {});
absl::Status AllToAllRows(Communicator& group, const Context& context, ConstTensorView send,
                          std::span<const int64_t> send_rows, TensorView receive,
                          std::span<const int64_t> receive_rows, const WaitOptions& wait = {});

// Agreement on outcomes: every rank passes its own status, every rank gets the same answer: OK if
// all were OK, else the status of the lowest rank that was not, its message prefixed by
// "rank N: ". Collective. Use it where one rank alone may fail (opening a file) before all go on,
// and name the wait after what may fail or take long on another rank.
absl::Status AgreeOnStatus(Communicator& group, const Context& context, const absl::Status& mine,
                           const WaitOptions& wait = {.name = "agreeing on an outcome"});

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_COLLECTIVES_H_
