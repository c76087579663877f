#ifndef EQUIPOISE_COMM_EXCHANGE_ROW_EXCHANGE_H_
#define EQUIPOISE_COMM_EXCHANGE_ROW_EXCHANGE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "comm/communicator.h"
#include "comm/exchange/node_memory.h"
#include "comm/exchange/placed_rows.h"
#include "comm/exchange/transfer.h"
#include "comm/topology.h"

namespace equipoise::comm {

// Rows from every rank to every other in one all-to-all; the same on all ranks, so that ranks which
// pass rows on know what is coming. A value.
class RowMatrix {
 public:
  RowMatrix() = default;
  explicit RowMatrix(int ranks) : ranks_(static_cast<size_t>(ranks)), rows_(ranks_ * ranks_, 0) {}

  int num_ranks() const { return static_cast<int>(ranks_); }
  int64_t at(int from, int to) const { return rows_[Index(from, to)]; }
  void set(int from, int to, int64_t rows) { rows_[Index(from, to)] = rows; }

  // [num_ranks()]: what a rank sends to each, and gets from each.
  std::vector<int64_t> From(int rank) const;
  std::vector<int64_t> To(int rank) const;
  int64_t TotalFrom(int rank) const;
  int64_t TotalTo(int rank) const;
  // The way back: rows return to where they came from.
  RowMatrix Transposed() const;

 private:
  size_t Index(int from, int to) const {
    return static_cast<size_t>(from) * ranks_ + static_cast<size_t>(to);
  }

  size_t ranks_ = 0;
  std::vector<int64_t> rows_;  // [from, to]
};

// Where rows lie that ranks of a node write into each other's buffers.
class RowRoutes {
 public:
  virtual ~RowRoutes() = default;
  // Rows of `from`'s buffer that become rows of `to`'s, in the order in which `from` has them.
  virtual std::vector<RowRun> Between(int from, int to) const = 0;
};

// An all-to-all whose rows go to their places in the receivers' buffers: by this rank itself, where
// it shares memory with the receiver.
struct PlacedExchange {
  const RowMatrix& rows;
  const RowRoutes& routes;
  ConstTensorView send;   // [n, W]
  ConstTensorView order;  // absent; or I64: the routes' row i of this rank is send[order[i]]
  // Of every rank in reach, null of others: the buffer for its rows; and memory for StageRows() of
  // them, to be passed on.
  std::vector<std::byte*> buffers;
  std::vector<std::byte*> stages;
  TensorView receive;  // this rank's buffer
};

// One all-to-all algorithm over the ranks of a communicator. Knows rows, ranks and nodes; nothing
// of experts. Every algorithm delivers the same rows to the same places, bit for bit.
// One per rank; belongs to one thread; the communicator outlives it.
class RowExchange {
 public:
  virtual ~RowExchange() = default;
  // As in configurations: "flat", "two_level".
  virtual const std::string& name() const = 0;

  // Adds the steps that move `send` [rows.TotalFrom(me), ...], grouped by destination rank, into
  // `receive` [rows.TotalTo(me), ...], grouped by source rank, on kNumPhases lanes from `lane` on.
  // Takes memory from context.scratch and leaves it behind: the caller's frame must outlast the
  // transfer.
  virtual void AddSteps(const Context& context, const RowMatrix& rows, ConstTensorView send,
                        TensorView receive, int lane, TransferSteps& steps) = 0;
  static constexpr int kNumPhases = 2;

  // How many rows of an all-to-all `rank` passes on by AddPlacedSteps.
  virtual int64_t StageRows(const RowMatrix& rows, int rank) const = 0;
  // Adds the steps of an all-to-all in place, likewise; nothing keeps `exchange`, but for the
  // memory it points to.
  virtual void AddPlacedSteps(const Context& context, NodeMemory& memory,
                              const PlacedExchange& exchange, int lane, TransferSteps& steps) = 0;

  // The same at once, on the exchange's own communicator. Done when it returns.
  absl::Status Run(const Context& context, const RowMatrix& rows, ConstTensorView send,
                   TensorView receive, const WaitOptions& wait);

 protected:
  explicit RowExchange(Communicator& group) : group_(group) {}

  // The rows of `exchange` that this rank writes itself, and who writes for it, without stages.
  PlacedRows PlacedInReach(const NodeMemory& memory, const PlacedExchange& exchange) const;

  Communicator& group_;
};

// One message per pair of ranks: a rank starts R - 1 of them, R - G across the slow link.
std::unique_ptr<RowExchange> MakeFlatRowExchange(Communicator& group);

// First inside the node, to the rank that serves as door to the destination (the one of the same
// local rank), then between equal local ranks: G - 1 messages inside and N - 1 across, each G times
// as large. The same bytes cross the slow link; those inside grow by what is passed on. (HetuMoE,
// Nie et al., 2022; Tutel's 2DH, Hwang et al., 2023.) Where nodes differ in size, the local rank is
// taken modulo the size. `topology` is that of `group`.
std::unique_ptr<RowExchange> MakeTwoLevelRowExchange(Communicator& group, Topology topology);

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_EXCHANGE_ROW_EXCHANGE_H_
