#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>

#include "comm/collectives.h"
#include "comm/exchange/row_exchange.h"
#include "comm/host_mirror.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "core/ops/permute.h"

namespace equipoise::comm {
namespace {

// A gather of runs of rows, put together one after another.
class RunOrder {
 public:
  void Append(int64_t begin, int64_t rows) {
    for (int64_t row = begin; row < begin + rows; ++row) order_.push_back(row);
  }
  // `to` row i becomes `from` row order[i].
  void Gather(const Context& context, ConstTensorView from, TensorView to) const {
    const WorkspaceFrame frame(*context.scratch);
    const TensorView order =
        context.scratch->Allocate(DType::kI64, {static_cast<int64_t>(order_.size())});
    MirrorToDevice<int64_t>(context, order_, order);
    GatherRows(context, from, order, to);
  }

 private:
  std::vector<int64_t> order_;
};

// Where runs lie that follow each other in a buffer.
class RunCursor {
 public:
  // Begin of the next run, of so many rows.
  int64_t Next(int64_t rows) { return std::exchange(position_, position_ + rows); }

 private:
  int64_t position_ = 0;
};

class TwoLevelRowExchange final : public RowExchange {
 public:
  TwoLevelRowExchange(Communicator& group, Topology topology)
      : RowExchange(group), topology_(std::move(topology)) {
    EQ_CHECK_EQ(topology_.num_ranks(), group.size());
  }

  const std::string& name() const override { return name_; }

  void AddSteps(const Context& context, const RowMatrix& rows, ConstTensorView send,
                TensorView receive, int lane, TransferSteps& steps) override {
    const int me = group_.rank();
    if (topology_.num_nodes() == 1) {
      AddAllToAllRows(context, send, rows.From(me), receive, rows.To(me), lane, steps);
      return;
    }
    const Counts inside = CountsInside(rows);
    const Counts across = CountsAcross(rows);
    const auto allocate = [&](int64_t count) {
      return context.scratch->Allocate(send.dtype(), send.shape().WithRows(count));
    };
    // What came from this node, whoever it is for, then what came from others.
    const TensorView came = allocate(inside.total_receive + across.total_receive);
    const TensorView leaving_inside = allocate(inside.total_send);
    steps.AddLocal([context, send, leaving_inside, order = OrderInside(rows)] {
      order.Gather(context, send, leaving_inside);
    });
    AddAllToAllRows(context, leaving_inside, inside.send, came.Rows(0, inside.total_receive),
                    inside.receive, lane, steps);
    const TensorView leaving_across = allocate(across.total_send);
    steps.AddLocal([context, came, leaving_across, order = OrderAcross(rows)] {
      order.Gather(context, came, leaving_across);
    });
    AddAllToAllRows(context, leaving_across, across.send,
                    came.Rows(inside.total_receive, came.dim(0)), across.receive, lane + 1, steps);
    steps.AddLocal([context, came, receive, order = OrderHere(rows, inside.total_receive)] {
      order.Gather(context, came, receive);
    });
  }

  // A rank stages what its mates have for ranks of other nodes whose door it is, by destination and
  // then by mate: as it leaves.
  int64_t StageRows(const RowMatrix& rows, int rank) const override {
    int64_t staged = 0;
    for (int to = 0; to < rows.num_ranks(); ++to) {
      if (topology_.node_of(to) == topology_.node_of(rank) ||
          Door(topology_.node_of(rank), to) != rank) {
        continue;
      }
      for (const int mate : topology_.ranks_of(topology_.node_of(rank))) {
        staged += rows.at(mate, to);
      }
    }
    return staged;
  }

  void AddPlacedSteps(const Context& context, NodeMemory& memory, const PlacedExchange& exchange,
                      int lane, TransferSteps& steps) override {
    PlacedRows placed = PlacedInReach(memory, exchange);
    if (topology_.num_nodes() == 1) {
      AddPlacedRows(context, memory, std::move(placed), lane, steps);
      return;
    }
    const size_t me = static_cast<size_t>(group_.rank());
    AddStaged(exchange, placed);
    AddPlacedRows(context, memory, std::move(placed), lane, steps);
    const Counts across = CountsAcross(exchange.rows);
    const auto shape = [&](int64_t rows) { return exchange.send.shape().WithRows(rows); };
    const TensorView stage(exchange.stages[me], exchange.send.dtype(), shape(across.total_send),
                           exchange.send.device());
    const TensorView arrived =
        context.scratch->Allocate(exchange.send.dtype(), shape(across.total_receive));
    AddAllToAllRows(context, stage, across.send, arrived, across.receive, lane + 1, steps);
    steps.AddLocal(
        [context, arrived, receive = exchange.receive, runs = RunsFromDoors(exchange.routes)] {
          CopyRuns(context, arrived, {}, runs, receive);
        });
  }

 private:
  // One of the two all-to-alls, over all ranks of the group; those without part have no rows.
  struct Counts {
    explicit Counts(int ranks)
        : send(static_cast<size_t>(ranks), 0), receive(static_cast<size_t>(ranks), 0) {}
    void AddSend(int rank, int64_t rows) {
      send[static_cast<size_t>(rank)] += rows;
      total_send += rows;
    }
    void AddReceive(int rank, int64_t rows) {
      receive[static_cast<size_t>(rank)] += rows;
      total_receive += rows;
    }
    std::vector<int64_t> send, receive;
    int64_t total_send = 0, total_receive = 0;
  };

  int node() const { return topology_.node_of(group_.rank()); }
  const std::vector<int>& mates() const { return topology_.ranks_of(node()); }
  // The rank of `node` through which rows leave for `rank`, or arrive from it: itself, if it lives
  // there.
  int Door(int node, int rank) const {
    const std::vector<int>& ranks = topology_.ranks_of(node);
    return ranks[static_cast<size_t>(topology_.local_rank(rank)) % ranks.size()];
  }
  bool Here(int rank) const { return topology_.node_of(rank) == node(); }

  Counts CountsInside(const RowMatrix& rows) const {
    Counts counts(rows.num_ranks());
    for (int to = 0; to < rows.num_ranks(); ++to) {
      const int door = Door(node(), to);
      counts.AddSend(door, rows.at(group_.rank(), to));
      if (door != group_.rank()) continue;
      for (const int mate : mates()) counts.AddReceive(mate, rows.at(mate, to));
    }
    return counts;
  }

  Counts CountsAcross(const RowMatrix& rows) const {
    const int me = group_.rank();
    Counts counts(rows.num_ranks());
    for (int rank = 0; rank < rows.num_ranks(); ++rank) {
      if (Here(rank)) continue;
      if (Door(node(), rank) == me) {
        for (const int mate : mates()) counts.AddSend(rank, rows.at(mate, rank));
      }
      counts.AddReceive(Door(topology_.node_of(rank), me), rows.at(rank, me));
    }
    return counts;
  }

  // Adds the rows that this rank writes into stages, and whoever writes into its own.
  void AddStaged(const PlacedExchange& exchange, PlacedRows& placed) const {
    const RowMatrix& rows = exchange.rows;
    for (const int door : mates()) {
      PlacedRows::Target staged = {door, exchange.stages[static_cast<size_t>(door)], {}};
      RunCursor cursor;
      for (int to = 0; to < rows.num_ranks(); ++to) {
        if (Here(to) || Door(node(), to) != door) continue;
        for (const int mate : mates()) {
          int64_t next = cursor.Next(rows.at(mate, to));
          if (mate != group_.rank()) {
            const bool known = std::find(placed.sources.begin(), placed.sources.end(), mate) !=
                               placed.sources.end();
            if (door == group_.rank() && rows.at(mate, to) > 0 && !known) {
              placed.sources.push_back(mate);
            }
            continue;
          }
          for (RowRun run : exchange.routes.Between(mate, to)) {
            run.to = std::exchange(next, next + run.rows);
            staged.runs.push_back(run);
          }
        }
      }
      if (!staged.runs.empty()) placed.targets.push_back(std::move(staged));
    }
  }

  // What comes across, in the order of its messages.
  std::vector<RowRun> RunsFromDoors(const RowRoutes& routes) const {
    const int me = group_.rank();
    std::vector<RowRun> runs;
    for (int door = 0; door < topology_.num_ranks(); ++door) {
      const int from_node = topology_.node_of(door);
      if (from_node == node() || Door(from_node, me) != door) continue;
      for (const int from : topology_.ranks_of(from_node)) {
        for (const RowRun& run : routes.Between(from, me)) runs.push_back(run);
      }
    }
    return Arriving(std::move(runs));
  }

  // `send`, grouped by destination, into groups by door.
  RunOrder OrderInside(const RowMatrix& rows) const {
    std::vector<int64_t> begin;
    RunCursor cursor;
    for (const int64_t count : rows.From(group_.rank())) begin.push_back(cursor.Next(count));
    RunOrder order;
    for (const int mate : mates()) {
      for (int to = 0; to < rows.num_ranks(); ++to) {
        if (Door(node(), to) != mate) continue;
        order.Append(begin[static_cast<size_t>(to)], rows.at(group_.rank(), to));
      }
    }
    return order;
  }

  // What came from this node, grouped by mate and then by destination, into groups by destination
  // in other nodes, and then by mate.
  RunOrder OrderAcross(const RowMatrix& rows) const {
    RowMatrix begin(rows.num_ranks());
    RunCursor cursor;
    for (const int mate : mates()) {
      for (int to = 0; to < rows.num_ranks(); ++to) {
        if (Door(node(), to) != group_.rank()) continue;
        begin.set(mate, to, cursor.Next(rows.at(mate, to)));
      }
    }
    RunOrder order;
    for (int to = 0; to < rows.num_ranks(); ++to) {
      if (Here(to) || Door(node(), to) != group_.rank()) continue;
      for (const int mate : mates()) order.Append(begin.at(mate, to), rows.at(mate, to));
    }
    return order;
  }

  // All that came, the second part from row `across` on, into groups by source.
  RunOrder OrderHere(const RowMatrix& rows, int64_t across) const {
    const int me = group_.rank();
    std::vector<int64_t> begin(static_cast<size_t>(rows.num_ranks()));
    RunCursor inside;
    for (const int mate : mates()) {
      for (int to = 0; to < rows.num_ranks(); ++to) {
        if (Door(node(), to) != me) continue;
        const int64_t run = inside.Next(rows.at(mate, to));
        if (to == me) begin[static_cast<size_t>(mate)] = run;
      }
    }
    RunCursor outside;
    outside.Next(across);
    for (int door = 0; door < rows.num_ranks(); ++door) {  // in the order of their messages
      const int from_node = topology_.node_of(door);
      if (from_node == node() || Door(from_node, me) != door) continue;
      for (const int from : topology_.ranks_of(from_node)) {
        begin[static_cast<size_t>(from)] = outside.Next(rows.at(from, me));
      }
    }
    RunOrder order;
    for (int from = 0; from < rows.num_ranks(); ++from) {
      order.Append(begin[static_cast<size_t>(from)], rows.at(from, me));
    }
    return order;
  }

  const std::string name_ = "two_level";
  const Topology topology_;
};

}  // namespace

std::unique_ptr<RowExchange> MakeTwoLevelRowExchange(Communicator& group, Topology topology) {
  return std::make_unique<TwoLevelRowExchange>(group, std::move(topology));
}

}  // namespace equipoise::comm
