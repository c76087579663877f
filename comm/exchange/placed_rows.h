#ifndef EQUIPOISE_COMM_EXCHANGE_PLACED_ROWS_H_
#define EQUIPOISE_COMM_EXCHANGE_PLACED_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "comm/exchange/node_memory.h"
#include "comm/exchange/transfer.h"
#include "core/device/context.h"
#include "core/tensor/tensor_view.h"

namespace equipoise::comm {

// Rows [from, from + rows) of one buffer that become rows [to, to + rows) of another.
struct RowRun {
  int64_t from = 0;
  int64_t to = 0;
  int64_t rows = 0;
};

int64_t NumRows(std::span<const RowRun> runs);
// The same rows, one run after another from the first row on: of the buffer they go to, as packed
// for a message; or of the one they come from, as a message arrives.
std::vector<RowRun> Packed(std::vector<RowRun> runs);
std::vector<RowRun> Arriving(std::vector<RowRun> runs);

// Runs of `from` [n, W] become runs of `to` [m, W]. With `order` (I64), row i is from[order[i]].
void CopyRuns(const Context& context, ConstTensorView from, ConstTensorView order,
              std::span<const RowRun> runs, TensorView to);

// Rows of this rank that it writes into buffers of ranks of its node, its own among them.
struct PlacedRows {
  ConstTensorView from = {};   // [n, W]
  ConstTensorView order = {};  // absent, or as in CopyRuns
  // Rows for `rank`, and where the buffer begins that they go to. A rank may have several.
  struct Target {
    int rank = 0;
    std::byte* buffer = nullptr;
    std::vector<RowRun> runs = {};
  };
  std::vector<Target> targets = {};
  // Ranks that write rows for this one in the same step.
  std::vector<int> sources = {};
};

// Messages to and from the ranks of other nodes, of Communicator::AllToAllRows.
struct RowMessages {
  ConstTensorView send;
  std::vector<int64_t> send_rows;
  TensorView receive;
  std::vector<int64_t> receive_rows;
};

// Adds one step on `lane`: this rank's rows are written when it starts, and it is done when those
// of the others are there. `memory` outlives the transfer. With `messages`, all ranks of the lane
// give some; they travel while rows are written.
void AddPlacedRows(const Context& context, NodeMemory& memory, PlacedRows rows, int lane,
                   TransferSteps& steps);
void AddPlacedRows(const Context& context, NodeMemory& memory, PlacedRows rows,
                   RowMessages messages, int lane, TransferSteps& steps);

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_EXCHANGE_PLACED_ROWS_H_
