#include "comm/exchange/exchange_cost.h"

#include <algorithm>

#include "core/base/check.h"

namespace equipoise::comm {
namespace {

// The rank of `node` through which rows leave for `rank`, or arrive from it.
int Door(const Topology& topology, int node, int rank) {
  const std::vector<int>& ranks = topology.ranks_of(node);
  return ranks[static_cast<size_t>(topology.local_rank(rank)) % ranks.size()];
}

void Add(RowMatrix& rows, int from, int to, int64_t count) {
  rows.set(from, to, rows.at(from, to) + count);
}

// Messages and rows over one class of link.
struct Load {
  int64_t messages = 0;
  int64_t rows = 0;

  void Add(int64_t count) {
    messages += count > 0 ? 1 : 0;
    rows += count;
  }
  double Seconds(const Link& link, double row_bytes) const {
    return static_cast<double>(messages) * link.latency +
           link.Seconds(static_cast<double>(rows) * row_bytes);
  }
};

// What ranks send and receive through a link that they share.
struct SharedLoad {
  Load out, in;

  // Rows add up; messages are those of the busiest rank.
  void AddRank(const Load& rank_out, const Load& rank_in) {
    out.rows += rank_out.rows;
    in.rows += rank_in.rows;
    out.messages = std::max(out.messages, rank_out.messages);
    in.messages = std::max(in.messages, rank_in.messages);
  }
  double Seconds(const Link& link, double row_bytes) const {
    return std::max(out.Seconds(link, row_bytes), in.Seconds(link, row_bytes));
  }
};

double Slowest(const std::vector<SharedLoad>& loads, const Link& link, double row_bytes) {
  double seconds = 0.0;
  for (const SharedLoad& load : loads) seconds = std::max(seconds, load.Seconds(link, row_bytes));
  return seconds;
}

double PhaseSeconds(const Topology& topology, const LinkModel& links, const RowMatrix& rows,
                    double row_bytes) {
  std::vector<SharedLoad> nodes(static_cast<size_t>(topology.num_nodes()));
  std::vector<SharedLoad> groups(static_cast<size_t>(topology.num_groups()));
  double inside = 0.0;
  for (int rank = 0; rank < rows.num_ranks(); ++rank) {
    SharedLoad mates, across, far;
    for (int peer = 0; peer < rows.num_ranks(); ++peer) {
      if (peer == rank) continue;
      const LinkClass link = topology.link(rank, peer);
      SharedLoad& load = link == LinkClass::kNode ? mates : across;
      load.out.Add(rows.at(rank, peer));
      load.in.Add(rows.at(peer, rank));
      if (link != LinkClass::kFar) continue;
      far.out.Add(rows.at(rank, peer));
      far.in.Add(rows.at(peer, rank));
    }
    const double kept = static_cast<double>(rows.at(rank, rank)) * row_bytes;
    inside = std::max(inside, mates.Seconds(links[LinkClass::kNode], row_bytes) +
                                  links[LinkClass::kSelf].Seconds(kept));
    const int node = topology.node_of(rank);
    nodes[static_cast<size_t>(node)].AddRank(across.out, across.in);
    groups[static_cast<size_t>(topology.group_of(node))].AddRank(far.out, far.in);
  }
  return std::max({inside, Slowest(nodes, links[LinkClass::kRemote], row_bytes),
                   Slowest(groups, links[LinkClass::kFar], row_bytes)});
}

}  // namespace

ExchangeTraffic FlatTraffic(const Topology& topology, const ExchangeRows& rows,
                            NodeTransport inside_nodes) {
  ExchangeTraffic traffic;
  traffic.phases = {rows.copies};
  for (int rank = 0; rank < rows.copies.num_ranks(); ++rank) {
    int64_t& gathered = traffic.gathered.emplace_back(0);
    for (int peer = 0; peer < rows.copies.num_ranks(); ++peer) {
      if (inside_nodes == NodeTransport::kSharedMemory &&
          topology.node_of(rank) == topology.node_of(peer)) {
        continue;
      }
      gathered += rows.copies.at(rank, peer) + rows.copies.at(peer, rank);
    }
  }
  return traffic;
}

ExchangeTraffic TwoLevelTraffic(const Topology& topology, const ExchangeRows& rows,
                                NodeTransport inside_nodes) {
  if (topology.num_nodes() == 1) return FlatTraffic(topology, rows, inside_nodes);
  const int ranks = rows.copies.num_ranks();
  RowMatrix inside(ranks);
  RowMatrix across(ranks);
  for (int from = 0; from < ranks; ++from) {
    for (int to = 0; to < ranks; ++to) {
      const int door = Door(topology, topology.node_of(from), to);
      Add(inside, from, door, rows.copies.at(from, to));
      if (topology.node_of(to) != topology.node_of(from)) {
        Add(across, door, to, rows.copies.at(from, to));
      }
    }
  }
  ExchangeTraffic traffic;
  for (int rank = 0; rank < ranks; ++rank) {
    // In place, rows lie ready for their message, and are sorted when they come.
    traffic.gathered.push_back(inside_nodes == NodeTransport::kSharedMemory
                                   ? across.TotalTo(rank)
                                   : rows.copies.TotalFrom(rank) + inside.TotalFrom(rank) +
                                         across.TotalFrom(rank) + 2 * rows.copies.TotalTo(rank));
  }
  traffic.phases = {std::move(inside), std::move(across)};
  return traffic;
}

ExchangeTraffic MulticastTraffic(const Topology& topology, const ExchangeRows& rows,
                                 NodeTransport inside_nodes) {
  const int ranks = rows.copies.num_ranks();
  const size_t nodes = static_cast<size_t>(topology.num_nodes());
  EQ_CHECK_EQ(rows.to_nodes.size(), static_cast<size_t>(ranks) * nodes);
  RowMatrix across(ranks);
  RowMatrix inside(ranks);
  for (int from = 0; from < ranks; ++from) {
    for (int node = 0; node < topology.num_nodes(); ++node) {
      const size_t entry = static_cast<size_t>(from) * nodes + static_cast<size_t>(node);
      across.set(from, Door(topology, node, from), rows.to_nodes[entry]);
    }
    for (int to = 0; to < ranks; ++to) {
      Add(inside, Door(topology, topology.node_of(to), from), to,
          rows.tokens_to_ranks.at(from, to));
    }
  }
  ExchangeTraffic traffic;
  for (int rank = 0; rank < ranks; ++rank) {
    const int64_t passed =
        inside_nodes == NodeTransport::kSharedMemory ? 0 : inside.TotalFrom(rank);
    traffic.gathered.push_back(across.TotalFrom(rank) + passed + rows.copies.TotalTo(rank));
  }
  traffic.phases = {std::move(across), std::move(inside)};
  return traffic;
}

RowMatrix TotalRows(const ExchangeTraffic& traffic) {
  RowMatrix total(traffic.phases.front().num_ranks());
  for (const RowMatrix& phase : traffic.phases) {
    for (int from = 0; from < total.num_ranks(); ++from) {
      for (int to = 0; to < total.num_ranks(); ++to) Add(total, from, to, phase.at(from, to));
    }
  }
  return total;
}

double TransferSeconds(const Topology& topology, const LinkModel& links,
                       const ExchangeTraffic& traffic, double row_bytes) {
  const int64_t gathered = *std::max_element(traffic.gathered.begin(), traffic.gathered.end());
  double seconds = links[LinkClass::kSelf].Seconds(static_cast<double>(gathered) * row_bytes);
  for (const RowMatrix& phase : traffic.phases) {
    seconds += PhaseSeconds(topology, links, phase, row_bytes);
  }
  return seconds;
}

std::array<int64_t, kNumLinkClasses> RowsByLink(const Topology& topology, const RowMatrix& rows) {
  std::array<int64_t, kNumLinkClasses> sums = {};
  for (int from = 0; from < rows.num_ranks(); ++from) {
    for (int to = 0; to < rows.num_ranks(); ++to) {
      sums[static_cast<size_t>(topology.link(from, to))] += rows.at(from, to);
    }
  }
  return sums;
}

std::vector<int64_t> RowsBetweenNodes(const Topology& topology, const RowMatrix& rows) {
  const size_t nodes = static_cast<size_t>(topology.num_nodes());
  std::vector<int64_t> sums(nodes * nodes, 0);
  for (int from = 0; from < rows.num_ranks(); ++from) {
    for (int to = 0; to < rows.num_ranks(); ++to) {
      const size_t node = static_cast<size_t>(topology.node_of(from)) * nodes;
      sums[node + static_cast<size_t>(topology.node_of(to))] += rows.at(from, to);
    }
  }
  return sums;
}

}  // namespace equipoise::comm
