#ifndef EQUIPOISE_COMM_COMMUNICATOR_H_
#define EQUIPOISE_COMM_COMMUNICATOR_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "comm/shared_memory.h"
#include "comm/work.h"
#include "core/device/context.h"
#include "core/tensor/tensor_view.h"

namespace equipoise::comm {

enum class ReduceOp : uint8_t { kSum, kMax, kMin };

// A group of ranks that call the same collectives in the same order. The verbs move bytes and
// trust their arguments: call them through collectives.h, which checks.
//
// Every verb is collective and asynchronous: it returns a Work, and its tensors must stay alive
// and untouched until that Work is complete. Several may be in flight; they must be started in the
// same order on every rank. A communicator belongs to one thread. It outlives its Work.
//
// Reductions add in an order that depends on nothing but size() and the tensor's size, so the same
// call on the same layout gives the same bits, on every rank. ReduceScatter adds in rank order, and
// so does AllReduce of small tensors (see docs/comm.md): those bits are the same in every backend.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  // For messages: "world", "expert", ...
  virtual const std::string& name() const = 0;
  // Like `MPI_Get_processor_name`: equal on ranks that share memory.
  virtual std::string host() const = 0;
  // Which nodes are near each other (a rack, a leaf switch): equal on those; "" where nobody said.
  virtual std::string node_group() const { return ""; }

  // Complete when every rank has called it.
  virtual absl::StatusOr<Work> Barrier(const Context& context) = 0;

  // On every rank `data` becomes `root`'s `data`.
  virtual absl::StatusOr<Work> Broadcast(const Context& context, TensorView data, int root) = 0;

  // On every rank `data` becomes the element-wise `op` of all ranks' `data`.
  virtual absl::StatusOr<Work> AllReduce(const Context& context, TensorView data, ReduceOp op) = 0;

  // `send` is size() equal blocks along the first axis; on rank i `receive` becomes the sum of
  // everyone's block i.
  virtual absl::StatusOr<Work> ReduceScatter(const Context& context, ConstTensorView send,
                                             TensorView receive) = 0;

  // On every rank block i of `receive` becomes rank i's `send`. `send` may be this rank's own block
  // of `receive`.
  virtual absl::StatusOr<Work> AllGather(const Context& context, ConstTensorView send,
                                         TensorView receive) = 0;

  // Like `MPI_Alltoallv` on rows: send_rows[i] rows of `send`, in rank order and without gaps, go
  // to rank i; receive_rows[i] rows arrive from it, in rank order and without gaps. A row is a
  // slice along the first axis. Counts may be zero, and are host values: see host_mirror.h.
  // The spans are copied before the call returns.
  virtual absl::StatusOr<Work> AllToAllRows(const Context& context, ConstTensorView send,
                                            std::span<const int64_t> send_rows, TensorView receive,
                                            std::span<const int64_t> receive_rows) = 0;

  // Ranks with the same `color` (>= 0) form a new communicator, ordered by (key, rank). Blocks.
  // Equivalent to `MPI_Comm_split`.
  virtual absl::StatusOr<std::unique_ptr<Communicator>> Split(int color, int key,
                                                              const std::string& name) = 0;

  // Memory that this communicator's ranks share, `bytes` of it this rank's own; each may ask for
  // another size, also for none. All get it, or all the same kind of error: ResourceExhausted where
  // it does not fit, FailedPrecondition where ranks do not share memory. Blocks. Equivalent to
  // `MPI_Win_allocate_shared`. REQUIRES: all ranks have the same host().
  virtual absl::StatusOr<std::unique_ptr<SharedMemory>> AllocateShared(size_t bytes) = 0;

  // Tells the ranks that this one has written for, and is complete when those it waits for have
  // written: see SharedWrites. Every rank calls it, also with nothing to tell. The memory may be
  // that of another communicator.
  virtual absl::StatusOr<Work> ExchangeWrites(SharedWrites writes) = 0;

  // Ends the work of every rank of the world with `reason`; other ranks' waits return Aborted (or
  // their processes end, under MPI). For a rank that cannot go on.
  virtual void Abort(const absl::Status& reason) = 0;
};

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_COMMUNICATOR_H_
