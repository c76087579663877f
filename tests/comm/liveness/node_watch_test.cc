#include "comm/liveness/node_watch.h"

#include <atomic>
#include <cstring>
#include <future>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "comm/liveness/heartbeat_socket.h"
#include "gtest/gtest.h"

namespace equipoise::comm {
namespace {

constexpr absl::Duration kLimit = absl::Seconds(1);
// For what must happen; a slow machine may take its time.
constexpr absl::Duration kLong = absl::Seconds(30);
constexpr JobToken kToken = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3};

// What a node's watch has told.
struct Told {
  std::promise<std::vector<size_t>> lost_promise;
  std::promise<std::vector<size_t>> unheard_promise;
  std::future<std::vector<size_t>> lost = lost_promise.get_future();
  std::future<std::vector<size_t>> unheard = unheard_promise.get_future();
  std::atomic<bool> speaks = true;
};

bool HasCome(const std::future<std::vector<size_t>>& nodes, absl::Duration patience) {
  return nodes.wait_for(absl::ToChronoMilliseconds(patience)) == std::future_status::ready;
}

// Nodes as sockets of this machine.
class Nodes {
 public:
  explicit Nodes(size_t count) : told_(count), watches_(count) {
    for (size_t node = 0; node < count; ++node) {
      sockets_.push_back(*HeartbeatSocket::Open(/*loopback=*/true));
      contacts_.push_back(sockets_.back()->contact());
    }
  }
  ~Nodes() { watches_.clear(); }  // they use the rest

  NodeWatch::Options OptionsOf(size_t node) {
    NodeWatch::Options options;
    options.node = node;
    options.token = kToken;
    options.contacts = contacts_;
    options.limit = kLimit;
    Told& told = told_[node];
    options.speaks = [&told] { return told.speaks.load(); };
    options.on_lost = [&told](const std::vector<size_t>& lost) {
      told.lost_promise.set_value(lost);
    };
    options.on_unheard = [&told](const std::vector<size_t>& unheard) {
      told.unheard_promise.set_value(unheard);
    };
    return options;
  }
  void Start(size_t node, NodeWatch::Options options) {
    watches_[node] = std::make_unique<NodeWatch>(std::move(sockets_[node]), std::move(options));
  }
  void Start(size_t node) { Start(node, OptionsOf(node)); }
  void StartAll() {
    for (size_t node = 0; node < told_.size(); ++node) Start(node);
    for (const auto& watch : watches_) watch->WaitUntilAllHeard(kLong);
  }
  void Lose(size_t node) { watches_[node].reset(); }

  Told& told(size_t node) { return told_[node]; }
  NodeWatch& watch(size_t node) { return *watches_[node]; }
  const HeartbeatContact& contact(size_t node) const { return contacts_[node]; }

 private:
  std::vector<std::unique_ptr<HeartbeatSocket>> sockets_;
  std::vector<HeartbeatContact> contacts_;
  std::vector<Told> told_;
  std::vector<std::unique_ptr<NodeWatch>> watches_;
};

TEST(NodeWatch, TheOthersMissANodeThatIsLost) {
  Nodes nodes(4);
  nodes.StartAll();
  nodes.Lose(2);
  for (const size_t node : {0, 1, 3}) {
    ASSERT_TRUE(HasCome(nodes.told(node).lost, kLong));
    EXPECT_EQ(nodes.told(node).lost.get(), std::vector<size_t>({2}));
  }
}

TEST(NodeWatch, NobodyIsMissedWhileAllBeat) {
  Nodes nodes(3);
  nodes.StartAll();
  absl::SleepFor(2 * kLimit);
  for (size_t node = 0; node < 3; ++node) {
    EXPECT_FALSE(HasCome(nodes.told(node).lost, absl::ZeroDuration()));
    EXPECT_FALSE(HasCome(nodes.told(node).unheard, absl::ZeroDuration()));
  }
}

TEST(NodeWatch, AStandInSpeaksForItsNode) {
  Nodes nodes(2);
  nodes.StartAll();
  NodeWatch::Options options = nodes.OptionsOf(1);
  options.judges = false;
  options.speaks = [] { return true; };
  auto stand_in = std::make_unique<NodeWatch>(*HeartbeatSocket::Open(/*loopback=*/true), options);
  nodes.told(1).speaks = false;
  absl::SleepFor(2 * kLimit);
  EXPECT_FALSE(HasCome(nodes.told(0).lost, absl::ZeroDuration()));
  EXPECT_FALSE(
      HasCome(nodes.told(1).lost, absl::ZeroDuration()));  // node 0 still reaches the first rank
  stand_in.reset();
  ASSERT_TRUE(HasCome(nodes.told(0).lost, kLong));
  EXPECT_EQ(nodes.told(0).lost.get(), std::vector<size_t>({1}));
}

TEST(NodeWatch, NobodyIsJudgedNearTheEnd) {
  Nodes nodes(2);
  nodes.StartAll();
  nodes.watch(0).StopJudging();
  nodes.Lose(1);
  EXPECT_FALSE(HasCome(nodes.told(0).lost, 2 * kLimit));
}

TEST(NodeWatch, ANodeThatWasNeverHeardIsToldOnceAndNotLost) {
  Nodes nodes(3);
  nodes.Start(0);
  nodes.Start(2);
  ASSERT_TRUE(HasCome(nodes.told(0).unheard, kLong));
  EXPECT_EQ(nodes.told(0).unheard.get(), std::vector<size_t>({1}));
  EXPECT_FALSE(HasCome(nodes.told(0).lost, 2 * kLimit));
}

TEST(NodeWatch, PacketsOfOthersAreNoBeats) {
  Nodes nodes(2);
  NodeWatch::Options options = nodes.OptionsOf(1);
  options.token[15] ^= 1;
  nodes.Start(0);
  nodes.Start(1, options);
  const auto stranger = *HeartbeatSocket::Open(/*loopback=*/true);
  std::vector<std::byte> packet(sizeof(kToken) + 4);
  std::memcpy(packet.data(), kToken.data(), sizeof(kToken));
  for (const std::byte node : {std::byte{0}, std::byte{2}, std::byte{255}}) {
    packet.back() = node;  // the receiver itself, and nodes that do not exist
    stranger->Send(nodes.contact(0).known()[0], packet);
  }
  packet.back() = std::byte{1};
  packet.push_back(std::byte{0});  // too long
  stranger->Send(nodes.contact(0).known()[0], packet);
  stranger->Send(nodes.contact(0).known()[0], std::span(packet).first(3));
  stranger->Send(nodes.contact(0).known()[0], {});
  ASSERT_TRUE(HasCome(nodes.told(0).unheard, kLong));
  EXPECT_EQ(nodes.told(0).unheard.get(), std::vector<size_t>({1}));
}

TEST(HeartbeatSocket, KnowsAddressesThatOthersCanUse) {
  const auto socket = HeartbeatSocket::Open();
  if (!socket.ok()) {
    GTEST_SKIP() << "skipped: this machine has no network to open a UDP socket on: "
                 << socket.status();
  }
  ASSERT_GT((*socket)->contact().num_addresses, 0);
  for (const HeartbeatAddress& address : (*socket)->contact().known()) {
    EXPECT_NE(address.port, 0);
    EXPECT_NE(address.ip, (HeartbeatAddress().ip));
  }
}

}  // namespace
}  // namespace equipoise::comm
