#include "comm/exchange/row_exchange.h"

#include <numeric>

namespace equipoise::comm {
namespace {

int64_t Sum(const std::vector<int64_t>& values) {
  return std::accumulate(values.begin(), values.end(), int64_t{0});
}

}  // namespace

std::vector<int64_t> RowMatrix::From(int rank) const {
  std::vector<int64_t> rows;
  for (int to = 0; to < num_ranks(); ++to) rows.push_back(at(rank, to));
  return rows;
}

std::vector<int64_t> RowMatrix::To(int rank) const {
  std::vector<int64_t> rows;
  for (int from = 0; from < num_ranks(); ++from) rows.push_back(at(from, rank));
  return rows;
}

int64_t RowMatrix::TotalFrom(int rank) const { return Sum(From(rank)); }

int64_t RowMatrix::TotalTo(int rank) const { return Sum(To(rank)); }

RowMatrix RowMatrix::Transposed() const {
  RowMatrix transposed(num_ranks());
  for (int from = 0; from < num_ranks(); ++from) {
    for (int to = 0; to < num_ranks(); ++to) transposed.set(to, from, at(from, to));
  }
  return transposed;
}

PlacedRows RowExchange::PlacedInReach(const NodeMemory& memory,
                                      const PlacedExchange& exchange) const {
  const int me = group_.rank();
  PlacedRows placed = {.from = exchange.send, .order = exchange.order};
  for (const int mate : memory.topology().ranks_of(memory.topology().node_of(me))) {
    if (exchange.rows.at(me, mate) > 0) {
      placed.targets.push_back(
          {mate, exchange.buffers[static_cast<size_t>(mate)], exchange.routes.Between(me, mate)});
    }
    if (mate != me && exchange.rows.at(mate, me) > 0) placed.sources.push_back(mate);
  }
  return placed;
}

absl::Status RowExchange::Run(const Context& context, const RowMatrix& rows, ConstTensorView send,
                              TensorView receive, const WaitOptions& wait) {
  const WorkspaceFrame frame(*context.scratch);
  TransferSteps steps;
  AddSteps(context, rows, send, receive, /*lane=*/0, steps);
  return steps.RunOn(group_, wait);
}

}  // namespace equipoise::comm
