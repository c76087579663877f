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
  LinkUses Uses(LinkClass link, double row_bytes) const {
    LinkUses uses;
    uses[static_cast<size_t>(link)] = {static_cast<double>(messages),
                                       Link::Split(static_cast<double>(rows) * row_bytes)};
    return uses;
  }
};

LinkUses Longer(const LinkModel& links, const LinkUses& a, const LinkUses& b) {
  return Seconds(links, b) > Seconds(links, a) ? b : a;
}

// What ranks send and receive through a link that they share.
struct SharedLoad {
  Load out, in;

  // Rows add up; messages are those of the busiest rank.
  void AddRank(const SharedLoad& rank) {
    out.rows += rank.out.rows;
    in.rows += rank.in.rows;
    out.messages = std::max(out.messages, rank.out.messages);
    in.messages = std::max(in.messages, rank.in.messages);
  }
  LinkUses Uses(const LinkModel& links, LinkClass link, double row_bytes) const {
    return Longer(links, out.Uses(link, row_bytes), in.Uses(link, row_bytes));
  }
};

// Of what ranks, nodes and groups do in a phase, that which takes the longest.
LinkUses PhaseUses(const Topology& topology, const LinkModel& links, const RowMatrix& rows,
                   double row_bytes) {
  std::vector<SharedLoad> nodes(static_cast<size_t>(topology.num_nodes()));
  std::vector<SharedLoad> groups(static_cast<size_t>(topology.num_groups()));
  LinkUses longest = {};
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
    LinkUses inside = mates.Uses(links, LinkClass::kNode, row_bytes);
    inside += Load{0, rows.at(rank, rank)}.Uses(LinkClass::kSelf, row_bytes);
    longest = Longer(links, longest, inside);
    const int node = topology.node_of(rank);
    nodes[static_cast<size_t>(node)].AddRank(across);
    groups[static_cast<size_t>(topology.group_of(node))].AddRank(far);
  }
  for (const SharedLoad& node : nodes) {
    longest = Longer(links, longest, node.Uses(links, LinkClass::kRemote, row_bytes));
  }
  for (const SharedLoad& group : groups) {
    longest = Longer(links, longest, group.Uses(links, LinkClass::kFar, row_bytes));
  }
  return longest;
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
  return Seconds(links, TransferUses(topology, links, traffic, row_bytes));
}

LinkUses TransferUses(const Topology& topology, const LinkModel& links,
                      const ExchangeTraffic& traffic, double row_bytes) {
  const int64_t gathered = *std::max_element(traffic.gathered.begin(), traffic.gathered.end());
  LinkUses uses = Load{0, gathered}.Uses(LinkClass::kSelf, row_bytes);
  for (const RowMatrix& phase : traffic.phases) {
    uses += PhaseUses(topology, links, phase, row_bytes);
  }
  return uses;
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
