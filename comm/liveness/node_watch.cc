#include "comm/liveness/node_watch.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>
#include <utility>

#include "core/base/check.h"

namespace equipoise::comm {
namespace {

constexpr int kMostLatePackets = 10000;

using Clock = std::chrono::steady_clock;

absl::Duration Since(Clock::time_point start) { return absl::FromChrono(Clock::now() - start); }

}  // namespace

NodeWatch::NodeWatch(std::unique_ptr<HeartbeatSocket> socket, Options options)
    : socket_(std::move(socket)),
      options_(std::move(options)),
      judging_(options_.judges),
      num_unheard_(options_.contacts.size() - 1),
      silence_(options_.contacts.size(), options_.limit, Period(options_.limit)),
      heard_from_(options_.contacts.size()) {
  EQ_CHECK_LT(options_.node, options_.contacts.size());
  std::memcpy(packet_.data(), options_.token.data(), options_.token.size());
  for (size_t i = 0; i < 4; ++i) {
    packet_[options_.token.size() + i] = static_cast<std::byte>(options_.node >> (8 * (3 - i)));
  }
  thread_ = std::thread([this] { Run(); });
}

NodeWatch::~NodeWatch() {
  stopping_ = true;
  socket_->Wake();
  thread_.join();
}

void NodeWatch::Run() {
  while (!stopping_) {
    const Clock::time_point start = Clock::now();
    if (options_.speaks()) SendBeats();
    ReceiveFor(Period(options_.limit));
    const absl::Duration elapsed = Since(start);
    silence_.Tick(elapsed);
    age_ += std::min(elapsed, Period(options_.limit));
    Judge();
    options_.on_tick();
  }
}

void NodeWatch::SendBeats() {
  for (size_t node = 0; node < options_.contacts.size(); ++node) {
    if (node == options_.node) continue;
    // A peer that is heard has an address that works; one that is not may have changed its path.
    const bool is_heard = silence_.was_heard(node) &&
                          silence_.silent_for(node) < 4 * Period(options_.limit) &&
                          heard_from_[node].port != 0;
    if (is_heard) {
      socket_->Send(heard_from_[node], packet_);
      continue;
    }
    for (const HeartbeatAddress& to : options_.contacts[node].known()) socket_->Send(to, packet_);
  }
}

void NodeWatch::ReceiveFor(absl::Duration patience) {
  const Clock::time_point start = Clock::now();
  std::array<std::byte, kPacketBytes + 1> buffer;  // one more, to see what is too long
  int late = 0;
  // What is there already is taken in however late it is: this thread may have been stopped. But
  // not for ever: somebody may send faster than it reads.
  while (!stopping_ && late < kMostLatePackets) {
    const absl::Duration left = std::max(patience - Since(start), absl::ZeroDuration());
    const std::optional<HeartbeatSocket::Arrival> arrival = socket_->Receive(buffer, left);
    late += left == absl::ZeroDuration() ? 1 : 0;
    if (arrival.has_value()) {
      TakeIn(std::span(buffer).first(arrival->num_bytes), arrival->from);
    } else if (left == absl::ZeroDuration()) {
      return;
    }
  }
}

void NodeWatch::TakeIn(std::span<const std::byte> packet, const HeartbeatAddress& from) {
  constexpr size_t kTokenBytes = sizeof(JobToken);
  if (packet.size() != kPacketBytes) return;
  if (std::memcmp(packet.data(), options_.token.data(), kTokenBytes) != 0) return;
  size_t node = 0;
  for (const std::byte byte : packet.subspan(kTokenBytes)) {
    node = node << 8 | std::to_integer<size_t>(byte);
  }
  if (node >= options_.contacts.size() || node == options_.node) return;
  if (!silence_.was_heard(node) && --num_unheard_ == 0) heard_all_.set_value();
  silence_.Heard(node);
  // Beats of a stand-in come from another port, where nobody reads.
  const std::span<const HeartbeatAddress> known = options_.contacts[node].known();
  const bool is_judge = std::any_of(known.begin(), known.end(), [&](const HeartbeatAddress& to) {
    return to.port == from.port && to.ip == from.ip;
  });
  heard_from_[node] = is_judge ? from : HeartbeatAddress();
}

void NodeWatch::Judge() {
  if (!judging_ || told_lost_) return;
  const std::vector<size_t> lost = silence_.Lost();
  told_lost_ = !lost.empty();
  if (told_lost_) options_.on_lost(lost);
  if (!told_unheard_ && age_ >= options_.limit) TellUnheard();
}

void NodeWatch::TellUnheard() {
  told_unheard_ = true;
  std::vector<size_t> unheard;
  for (size_t node = 0; node < options_.contacts.size(); ++node) {
    if (node != options_.node && !silence_.was_heard(node)) unheard.push_back(node);
  }
  if (!unheard.empty()) options_.on_unheard(unheard);
}

}  // namespace equipoise::comm
