#include "comm/exchange/exchange_cost.h"

#include <vector>

#include "gtest/gtest.h"

namespace equipoise::comm {
namespace {

RowMatrix Matrix(int ranks, const std::vector<int64_t>& values) {
  RowMatrix rows(ranks);
  for (int i = 0; i < ranks * ranks; ++i) {
    rows.set(i / ranks, i % ranks, values[static_cast<size_t>(i)]);
  }
  return rows;
}

std::vector<int64_t> Values(const RowMatrix& rows) {
  std::vector<int64_t> values;
  for (int from = 0; from < rows.num_ranks(); ++from) {
    const std::vector<int64_t> row = rows.From(from);
    values.insert(values.end(), row.begin(), row.end());
  }
  return values;
}

constexpr NodeTransport kMessages = NodeTransport::kMessages;
constexpr NodeTransport kShared = NodeTransport::kSharedMemory;

Topology Nodes(std::vector<int> node_of_rank) { return *Topology::FromNodes(node_of_rank); }

// A byte costs 1, 10 and 100 seconds, a message a thousand times as much (none inside a rank).
LinkModel RoundLinks() {
  LinkModel links;
  links[LinkClass::kSelf] = {0.0, 1.0};
  links[LinkClass::kNode] = {1e4, 10.0};
  links[LinkClass::kRemote] = {1e5, 100.0};
  return links;
}

// Two nodes of two ranks; rank 0 has 5 tokens, rank 3 has 2; the others none. Of rank 0's, all have
// copies on rank 2, three on rank 3 too, one on rank 1.
ExchangeRows TwoByTwo() {
  ExchangeRows rows;
  rows.copies = Matrix(4, {0, 1, 7, 3, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 4});
  rows.tokens_to_ranks = Matrix(4, {0, 1, 5, 3, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 2});
  rows.to_nodes = {1, 5, 0, 0, 0, 0, 2, 2};
  return rows;
}

TEST(ExchangeCost, FlatSendsCopiesStraight) {
  const ExchangeTraffic traffic = FlatTraffic(Nodes({0, 0, 1, 1}), TwoByTwo(), kMessages);
  ASSERT_EQ(traffic.phases.size(), 1u);
  EXPECT_EQ(Values(traffic.phases[0]), Values(TwoByTwo().copies));
  // Copies made to send and sorted where they arrive.
  EXPECT_EQ(traffic.gathered, (std::vector<int64_t>{11 + 2, 1, 7, 6 + 7}));
}

TEST(ExchangeCost, TwoLevelPassesThroughDoors) {
  const ExchangeTraffic traffic = TwoLevelTraffic(Nodes({0, 0, 1, 1}), TwoByTwo(), kMessages);
  ASSERT_EQ(traffic.phases.size(), 2u);
  // Rank 0's copies for rank 2 stay on rank 0, their door; those for ranks 1 and 3 go to rank 1.
  EXPECT_EQ(Values(traffic.phases[0]),
            (std::vector<int64_t>{7, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 4}));
  EXPECT_EQ(Values(traffic.phases[1]),
            (std::vector<int64_t>{0, 0, 7, 0, 0, 0, 0, 3, 2, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(traffic.gathered,
            (std::vector<int64_t>{13 + 11 + 7 + 2, 1 + 3 + 1, 7 + 2 + 7, 13 + 6 + 7}));
}

TEST(ExchangeCost, TwoLevelOnOneNodeIsFlat) {
  const ExchangeTraffic traffic = TwoLevelTraffic(Nodes({0, 0, 0, 0}), TwoByTwo(), kMessages);
  ASSERT_EQ(traffic.phases.size(), 1u);
  EXPECT_EQ(Values(traffic.phases[0]), Values(TwoByTwo().copies));
}

TEST(ExchangeCost, MulticastCrossesToANodeOnce) {
  const ExchangeTraffic traffic = MulticastTraffic(Nodes({0, 0, 1, 1}), TwoByTwo(), kMessages);
  ASSERT_EQ(traffic.phases.size(), 2u);
  EXPECT_EQ(Values(traffic.phases[0]),
            (std::vector<int64_t>{1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2}));
  // Rank 0's tokens go on from rank 2, rank 3's from rank 1.
  EXPECT_EQ(Values(traffic.phases[1]),
            (std::vector<int64_t>{0, 1, 0, 0, 2, 0, 0, 0, 0, 0, 5, 3, 0, 0, 0, 2}));
  // Leaving, passed on, and copies for the experts.
  EXPECT_EQ(traffic.gathered, (std::vector<int64_t>{6 + 1 + 2, 2 + 1, 8 + 7, 4 + 2 + 7}));
}

TEST(ExchangeCost, WhatIsWrittenInPlaceIsNotGatheredBesides) {
  const Topology topology = Nodes({0, 0, 1, 1});
  const ExchangeTraffic flat = FlatTraffic(topology, TwoByTwo(), kShared);
  EXPECT_EQ(Values(flat.phases[0]), Values(TwoByTwo().copies));
  // Packed for the other node, and sorted where they come from there.
  EXPECT_EQ(flat.gathered, (std::vector<int64_t>{7 + 3 + 2, 0, 7, 3 + 2}));
  const ExchangeTraffic two_level = TwoLevelTraffic(topology, TwoByTwo(), kShared);
  EXPECT_EQ(Values(two_level.phases[0]),
            Values(TwoLevelTraffic(topology, TwoByTwo(), kMessages).phases[0]));
  EXPECT_EQ(two_level.gathered, (std::vector<int64_t>{2, 0, 7, 3}));
  const ExchangeTraffic multicast = MulticastTraffic(topology, TwoByTwo(), kShared);
  EXPECT_EQ(multicast.gathered, (std::vector<int64_t>{6 + 2, 1, 7, 4 + 7}));
  // All of it, on one node.
  EXPECT_EQ(FlatTraffic(Nodes({0, 0, 0, 0}), TwoByTwo(), kShared).gathered,
            (std::vector<int64_t>{0, 0, 0, 0}));
}

TEST(ExchangeCost, UnevenNodesShareDoors) {
  // Ranks 0, 1 and 2 on node 0, rank 3 alone on node 1: the door into node 1 is always rank 3, and
  // the one of node 0 for rank 3 (local rank 0) is rank 0.
  ExchangeRows rows;
  rows.copies = Matrix(4, {0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 5, 6, 0});
  rows.tokens_to_ranks = Matrix(4, {0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 2, 2, 0});
  rows.to_nodes = {0, 1, 0, 1, 0, 1, 3, 0};
  const Topology topology = Nodes({0, 0, 0, 1});
  const ExchangeTraffic two_level = TwoLevelTraffic(topology, rows, kMessages);
  EXPECT_EQ(Values(two_level.phases[0]),
            (std::vector<int64_t>{2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 11}));
  EXPECT_EQ(Values(two_level.phases[1]),
            (std::vector<int64_t>{0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 6, 0}));
  const ExchangeTraffic multicast = MulticastTraffic(topology, rows, kMessages);
  EXPECT_EQ(Values(multicast.phases[0]),
            (std::vector<int64_t>{0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 3, 0, 0, 0}));
  EXPECT_EQ(Values(multicast.phases[1]),
            (std::vector<int64_t>{0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3}));
}

TEST(ExchangeCost, SecondsOfOneMessageOnEachLink) {
  const auto seconds = [](const Topology& topology, std::vector<int64_t> values) {
    ExchangeTraffic traffic;
    traffic.phases = {Matrix(2, values)};
    traffic.gathered = {0, 0};
    return TransferSeconds(topology, RoundLinks(), traffic, 2.0);
  };
  EXPECT_EQ(seconds(Nodes({0, 0}), {3, 0, 0, 0}), 6.0);
  EXPECT_EQ(seconds(Nodes({0, 0}), {0, 3, 0, 0}), 1e4 + 60.0);
  EXPECT_EQ(seconds(Nodes({0, 1}), {0, 3, 0, 0}), 1e5 + 600.0);
  // Both directions at once cost the larger one, and what a rank keeps comes on top.
  EXPECT_EQ(seconds(Nodes({0, 0}), {0, 3, 5, 1}), 1e4 + 100.0 + 2.0);
  EXPECT_EQ(seconds(Nodes({0, 1}), {0, 3, 5, 1}), 1e5 + 1000.0);
  EXPECT_EQ(seconds(Nodes({0, 1}), {0, 0, 0, 0}), 0.0);
}

TEST(ExchangeCost, RanksOfANodeShareItsLink) {
  ExchangeTraffic traffic;
  // Ranks 0 and 1 both send to both others; node 0 sends 3 + 4 + 5 + 6 rows.
  traffic.phases = {Matrix(4, {0, 0, 3, 4, 0, 0, 5, 6, 1, 0, 0, 0, 0, 0, 0, 0})};
  traffic.gathered = {0, 0, 0, 0};
  EXPECT_EQ(TransferSeconds(Nodes({0, 0, 1, 1}), RoundLinks(), traffic, 1.0), 2e5 + 1800.0);
  // With a node each, rank 1's own 11 rows are the most.
  EXPECT_EQ(TransferSeconds(Nodes({0, 1, 2, 3}), RoundLinks(), traffic, 1.0), 2e5 + 1100.0);
}

TEST(ExchangeCost, NodesOfAGroupShareItsLink) {
  ExchangeTraffic traffic;
  // To rank 2 from ranks 0 and 1: 3 + 5 rows; ranks 0 and 1 exchange 1 and 2.
  traffic.phases = {Matrix(3, {0, 1, 3, 2, 0, 5, 0, 0, 0})};
  traffic.gathered = {0, 0, 0};
  const Topology topology = *Topology::FromNodes({0, 1, 2}, {"a", "b", "c"}, {"r", "r", "s"});
  LinkModel links = RoundLinks();
  links[LinkClass::kFar] = {1e6, 1000.0};
  // Rank 2 takes two messages.
  EXPECT_EQ(TransferSeconds(topology, links, traffic, 1.0), 2e6 + 8000.0);
  // A fast uplink: the node's own link is what takes long, and carries what goes far, too.
  links[LinkClass::kFar] = {0.0, 1e-3};
  EXPECT_EQ(TransferSeconds(topology, links, traffic, 1.0), 2e5 + 800.0);
  EXPECT_EQ(RowsByLink(topology, traffic.phases[0]), (std::array<int64_t, 4>{0, 0, 3, 8}));
}

TEST(ExchangeCost, SecondsOfWholeTransfers) {
  const Topology topology = Nodes({0, 0, 1, 1});
  const LinkModel links = RoundLinks();
  // Across: 7 + 3 rows from node 0, two messages of rank 0. Gathered: 13.
  EXPECT_EQ(TransferSeconds(topology, links,
                            FlatTraffic(Nodes({0, 0, 1, 1}), TwoByTwo(), kMessages), 1.0),
            2e5 + 1000.0 + 13.0);
  // Inside: rank 0 keeps 7 and sends 4, a message; across: 10 rows, a message a rank; 33 gathered.
  EXPECT_EQ(TransferSeconds(topology, links, TwoLevelTraffic(topology, TwoByTwo(), kMessages), 1.0),
            (1e4 + 40.0 + 7.0) + (1e5 + 1000.0) + 33.0);
  // Across: 5 rows; inside: rank 2 keeps 5 and sends 3; 15 gathered.
  EXPECT_EQ(
      TransferSeconds(topology, links, MulticastTraffic(topology, TwoByTwo(), kMessages), 1.0),
      (1e5 + 500.0) + (1e4 + 30.0 + 5.0) + 15.0);
}

TEST(ExchangeCost, SumsByLinkAndByNode) {
  const Topology topology = Nodes({0, 0, 1, 1});
  const RowMatrix rows = TotalRows(MulticastTraffic(topology, TwoByTwo(), kMessages));
  EXPECT_EQ(RowsByLink(topology, rows),
            (std::array<int64_t, 4>{1 + 5 + 2 + 2, 1 + 2 + 3, 5 + 2, 0}));
  EXPECT_EQ(RowsBetweenNodes(topology, rows), (std::vector<int64_t>{1 + 1 + 2, 5, 2, 8 + 4}));
}

}  // namespace
}  // namespace equipoise::comm
