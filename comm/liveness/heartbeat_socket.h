#ifndef EQUIPOISE_COMM_LIVENESS_HEARTBEAT_SOCKET_H_
#define EQUIPOISE_COMM_LIVENESS_HEARTBEAT_SOCKET_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace equipoise::comm {

// An address and port: IPv6, or IPv4 as IPv6 maps it (::ffff:10.0.0.1).
struct HeartbeatAddress {
  std::array<uint8_t, 16> ip = {};
  uint16_t port = 0;
};

// Where a heartbeat socket can be reached: every address of its host that others may know, because
// which of them lie on a common network is not known. Trivially copyable, to be sent as bytes.
struct HeartbeatContact {
  static constexpr size_t kMaxAddresses = 16;

  uint32_t num_addresses = 0;
  std::array<HeartbeatAddress, kMaxAddresses> addresses = {};

  std::span<const HeartbeatAddress> known() const { return {addresses.data(), num_addresses}; }
};

// A UDP socket on a port that the system chooses, open on every interface of this host while it
// lives. It says nothing to whom it does not know: what arrives is only read. Thread-compatible,
// except Wake().
class HeartbeatSocket {
 public:
  struct Arrival {
    size_t num_bytes = 0;
    HeartbeatAddress from = {};
  };

  // Unavailable with the system's text when there is no network, or no right to use it.
  // `loopback`: reachable from this host only, as tests want it.
  static absl::StatusOr<std::unique_ptr<HeartbeatSocket>> Open(bool loopback = false);
  ~HeartbeatSocket();
  HeartbeatSocket(const HeartbeatSocket&) = delete;
  HeartbeatSocket& operator=(const HeartbeatSocket&) = delete;

  const HeartbeatContact& contact() const { return contact_; }
  // Never blocks; what the network does not take is lost, as it may be on the way.
  void Send(const HeartbeatAddress& to, std::span<const std::byte> packet);
  // The next packet, cut to `buffer`; nothing after `patience`, or when woken.
  std::optional<Arrival> Receive(std::span<std::byte> buffer, absl::Duration patience);
  // Ends the present or the next Receive. From any thread.
  void Wake();

 private:
  HeartbeatSocket() = default;
  absl::Status Bind(bool loopback);
  absl::Status FindAddresses(bool loopback);

  int socket_ = -1;
  int wake_ = -1;
  bool ipv6_ = true;  // false: this system has IPv4 only
  HeartbeatContact contact_;
};

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_LIVENESS_HEARTBEAT_SOCKET_H_
