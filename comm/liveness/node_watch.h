#ifndef EQUIPOISE_COMM_LIVENESS_NODE_WATCH_H_
#define EQUIPOISE_COMM_LIVENESS_NODE_WATCH_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "comm/liveness/heartbeat_socket.h"
#include "comm/liveness/silence.h"

namespace equipoise::comm {

// Known to the processes of one job only. It keeps packets of other jobs and strays out; it is sent
// in the clear and is no protection from who can listen to the network. All that a forged packet
// can do is to make a lost node look alive.
using JobToken = std::array<uint8_t, 16>;

// Tells the other nodes of a job that this one lives, and finds out which of them have fallen
// silent. Every node's first process holds one that judges; the others of the node may hold one
// that only speaks, in case the first is stopped.
//
// A thread of its own does the work, so that long computations, blocking calls and checkpoints do
// not look like a loss. All hooks are called by that thread. Destroying it stops the thread.
class NodeWatch {
 public:
  struct Options {
    size_t node = 0;
    JobToken token = {};
    std::vector<HeartbeatContact> contacts = {};  // [nodes], of the judging sockets
    absl::Duration limit = absl::Seconds(10);     // a silence that means loss
    bool judges = true;
    // Asked before every beat: whether this process speaks for its node just now.
    std::function<bool()> speaks = [] { return true; };
    // Nodes that are lost; called at most once.
    std::function<void(const std::vector<size_t>&)> on_lost = [](const auto&) {};
    // Nodes that could not be heard in the first `limit` and are not judged; called at most once,
    // not at all when there is none.
    std::function<void(const std::vector<size_t>&)> on_unheard = [](const auto&) {};
    // After every beat.
    std::function<void()> on_tick = [] {};
  };

  // Twenty beats must be lost in a row for a node to be; and the thread must seldom wake.
  static absl::Duration Period(absl::Duration limit) { return limit / 20; }

  // `socket` is the one that others know from `contacts`, if this one judges.
  NodeWatch(std::unique_ptr<HeartbeatSocket> socket, Options options);
  ~NodeWatch();
  NodeWatch(const NodeWatch&) = delete;
  NodeWatch& operator=(const NodeWatch&) = delete;

  // Returns when every other node has been heard, or after `patience`; for one that judges. A node
  // is only watched from then on.
  void WaitUntilAllHeard(absl::Duration patience) const {
    all_heard_.wait_for(absl::ToChronoMilliseconds(patience));
  }
  // From here on no node is judged: the job is about to end. Beats go on. Any thread.
  void StopJudging() { judging_ = false; }

 private:
  // What a beat is: the token and the node's number, most significant byte first.
  static constexpr size_t kPacketBytes = sizeof(JobToken) + 4;

  void Run();
  void SendBeats();
  void ReceiveFor(absl::Duration patience);
  void TakeIn(std::span<const std::byte> packet, const HeartbeatAddress& from);
  void Judge();
  void TellUnheard();

  const std::unique_ptr<HeartbeatSocket> socket_;
  const Options options_;
  std::array<std::byte, kPacketBytes> packet_;
  std::atomic<bool> judging_;
  std::atomic<bool> stopping_ = false;
  std::promise<void> heard_all_;
  const std::shared_future<void> all_heard_ = heard_all_.get_future().share();
  // The rest is the thread's.
  size_t num_unheard_;
  Silence silence_;
  std::vector<HeartbeatAddress> heard_from_;  // [nodes]
  absl::Duration age_ = absl::ZeroDuration();
  bool told_lost_ = false;
  bool told_unheard_ = false;
  std::thread thread_;  // last: it uses all the others
};

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_LIVENESS_NODE_WATCH_H_
