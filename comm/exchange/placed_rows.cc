#include "comm/exchange/placed_rows.h"

#include <cstring>
#include <utility>

#include "comm/collectives.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "core/ops/permute.h"

namespace equipoise::comm {
namespace {

size_t RowBytes(ConstTensorView tensor) {
  return static_cast<size_t>(tensor.shape().row_elements()) * SizeOf(tensor.dtype());
}

// Into memory of another rank, of which no tensor is known here.
void CopyRunsTo(const Context& context, ConstTensorView from, ConstTensorView order,
                std::span<const RowRun> runs, std::byte* buffer) {
  EQ_CHECK(context.device->kind() == DeviceKind::kCpu);
  const size_t row_bytes = RowBytes(from);
  for (const RowRun& run : runs) {
    std::byte* to = buffer + static_cast<size_t>(run.to) * row_bytes;
    if (!order.absent()) {
      GatherRows(context, from, order.Rows(run.from, run.from + run.rows),
                 TensorView(to, from.dtype(), from.shape().WithRows(run.rows), from.device()));
    } else if (run.rows > 0) {
      std::memcpy(to, from.Rows(run.from, run.from + run.rows).raw(),
                  static_cast<size_t>(run.rows) * row_bytes);
    }
  }
}

// Writes this rank's rows.
SharedWrites Write(const Context& context, NodeMemory& memory, const PlacedRows& rows, int lane) {
  std::vector<int64_t> bytes_to(static_cast<size_t>(memory.topology().num_ranks()), 0);
  for (const PlacedRows::Target& target : rows.targets) {
    CopyRunsTo(context, rows.from, rows.order, target.runs, target.buffer);
    bytes_to[static_cast<size_t>(target.rank)] +=
        NumRows(target.runs) * static_cast<int64_t>(RowBytes(rows.from));
  }
  return memory.NextStep(lane, std::move(bytes_to), rows.sources);
}

}  // namespace

int64_t NumRows(std::span<const RowRun> runs) {
  int64_t rows = 0;
  for (const RowRun& run : runs) rows += run.rows;
  return rows;
}

std::vector<RowRun> Packed(std::vector<RowRun> runs) {
  int64_t next = 0;
  for (RowRun& run : runs) run.to = std::exchange(next, next + run.rows);
  return runs;
}

std::vector<RowRun> Arriving(std::vector<RowRun> runs) {
  int64_t next = 0;
  for (RowRun& run : runs) run.from = std::exchange(next, next + run.rows);
  return runs;
}

void CopyRuns(const Context& context, ConstTensorView from, ConstTensorView order,
              std::span<const RowRun> runs, TensorView to) {
  for (const RowRun& run : runs) EQ_CHECK_LE(run.to + run.rows, to.dim(0));
  CopyRunsTo(context, from, order, runs, static_cast<std::byte*>(to.raw()));
}

void AddPlacedRows(const Context& context, NodeMemory& memory, PlacedRows rows, int lane,
                   TransferSteps& steps) {
  steps.Add(lane, [context, &memory, rows = std::move(rows), lane](Communicator& group) {
    return group.ExchangeWrites(Write(context, memory, rows, lane));
  });
}

void AddPlacedRows(const Context& context, NodeMemory& memory, PlacedRows rows,
                   RowMessages messages, int lane, TransferSteps& steps) {
  steps.Add(lane,
            [context, &memory, rows = std::move(rows), messages = std::move(messages),
             lane](Communicator& group) -> absl::StatusOr<Work> {
              EQ_ASSIGN_OR_RETURN(
                  Work across, StartAllToAllRows(group, context, messages.send, messages.send_rows,
                                                 messages.receive, messages.receive_rows));
              EQ_ASSIGN_OR_RETURN(Work inside,
                                  group.ExchangeWrites(Write(context, memory, rows, lane)));
              return Join(std::move(across), std::move(inside));
            });
}

}  // namespace equipoise::comm
