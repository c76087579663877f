#ifndef EQUIPOISE_COMM_EXCHANGE_EXCHANGE_COST_H_
#define EQUIPOISE_COMM_EXCHANGE_EXCHANGE_COST_H_

#include <array>
#include <cstdint>
#include <vector>

#include "comm/exchange/node_transport.h"
#include "comm/exchange/row_exchange.h"
#include "comm/link_model.h"
#include "comm/topology.h"

// What an exchange of rows costs, from who sends how many rows to whom. Pure functions: ranks that
// hold the same counts and the same links get the same bits, and decide alike without a word.
namespace equipoise::comm {

// How many rows go where, on all ranks; what every exchange algorithm starts from. R ranks on N
// nodes.
struct ExchangeRows {
  RowMatrix copies;               // with every destination counted for itself
  RowMatrix tokens_to_ranks;      // different rows from a rank to a rank
  std::vector<int64_t> to_nodes;  // [R * N]: different rows from a rank to any rank of a node
};

// The steps of one transfer. Taken backwards, with `from` and `to` changed places, they cost the
// same.
struct ExchangeTraffic {
  std::vector<RowMatrix> phases;  // all-to-alls, one after the other
  std::vector<int64_t> gathered;  // [R]: rows that a rank copies in its memory besides
};

// Of MakeFlatRowExchange, MakeTwoLevelRowExchange (row_exchange.h) and RowMulticast
// (row_multicast.h), with the rows that ranks gather to send copies and to sort what arrives. Rows
// that are written in place inside nodes are not gathered besides.
ExchangeTraffic FlatTraffic(const Topology& topology, const ExchangeRows& rows,
                            NodeTransport inside_nodes);
ExchangeTraffic TwoLevelTraffic(const Topology& topology, const ExchangeRows& rows,
                                NodeTransport inside_nodes);
ExchangeTraffic MulticastTraffic(const Topology& topology, const ExchangeRows& rows,
                                 NodeTransport inside_nodes);

// Rows between ranks over all phases; what stays on a rank is at(rank, rank).
RowMatrix TotalRows(const ExchangeTraffic& traffic);

// Seconds of one transfer of rows of `row_bytes`. A phase ends when its busiest link is done, and a
// link takes its messages' latencies, one after the other, and its bytes:
//   inside:  the most of any rank of (messages * latency + Link::Seconds(bytes)), sent or received,
//            over kNode, and bytes it keeps over kSelf;
//   across:  the most of any node, sent or received, over kRemote; its messages are those of its
//            busiest rank;
//   far:     the same of groups of nodes, over kFar. What goes far takes the node's link, too.
// All go on at the same time. Gathering is added, of the busiest rank.
// (HierMoE, Lin et al., 2025, section 4, with the maximum over links instead of a mean load.)
double TransferSeconds(const Topology& topology, const LinkModel& links,
                       const ExchangeTraffic& traffic, double row_bytes);

// What those seconds are made of: what is asked of the links that are the busiest, by `links`.
LinkUses TransferUses(const Topology& topology, const LinkModel& links,
                      const ExchangeTraffic& traffic, double row_bytes);

// Sums over ranks by class of link, and over ranks of nodes: [N * N], from (first index) to.
std::array<int64_t, kNumLinkClasses> RowsByLink(const Topology& topology, const RowMatrix& rows);
std::vector<int64_t> RowsBetweenNodes(const Topology& topology, const RowMatrix& rows);

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_EXCHANGE_EXCHANGE_COST_H_
