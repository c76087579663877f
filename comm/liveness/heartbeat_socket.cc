#include "comm/liveness/heartbeat_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace equipoise::comm {
namespace {

// Where IPv4 stands in an IPv6 address that maps it, and what stands before it.
constexpr size_t kMappedAt = 12;
constexpr std::array<uint8_t, kMappedAt> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255};

absl::Status SystemError(const char* call) {
  return absl::UnavailableError(absl::StrCat(call, ": ", std::strerror(errno)));
}

// A socket address of either family, as the system's calls take it.
struct SystemAddress {
  sockaddr_storage storage = {};
  socklen_t size = 0;
};

bool IsMapped(const HeartbeatAddress& address) {
  return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), address.ip.begin());
}

SystemAddress ToSystem(const HeartbeatAddress& address, bool ipv6) {
  SystemAddress result;
  if (ipv6) {
    sockaddr_in6 six = {};
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(address.port);
    std::memcpy(&six.sin6_addr, address.ip.data(), address.ip.size());
    result.size = sizeof(six);
    std::memcpy(&result.storage, &six, sizeof(six));
    return result;
  }
  sockaddr_in four = {};
  four.sin_family = AF_INET;
  four.sin_port = htons(address.port);
  std::memcpy(&four.sin_addr, address.ip.data() + kMappedAt, sizeof(four.sin_addr));
  result.size = sizeof(four);
  std::memcpy(&result.storage, &four, sizeof(four));
  return result;
}

// Nothing for families other than the Internet's.
std::optional<HeartbeatAddress> FromSystem(const sockaddr* address) {
  HeartbeatAddress result;
  if (address == nullptr) return std::nullopt;
  if (address->sa_family == AF_INET6) {
    sockaddr_in6 six;
    std::memcpy(&six, address, sizeof(six));
    std::memcpy(result.ip.data(), &six.sin6_addr, result.ip.size());
    result.port = ntohs(six.sin6_port);
    return result;
  }
  if (address->sa_family != AF_INET) return std::nullopt;
  sockaddr_in four;
  std::memcpy(&four, address, sizeof(four));
  std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), result.ip.begin());
  std::memcpy(result.ip.data() + kMappedAt, &four.sin_addr, sizeof(four.sin_addr));
  result.port = ntohs(four.sin_port);
  return result;
}

// fe80::/10 means something else on every link.
bool IsLinkLocal(const HeartbeatAddress& address) {
  return address.ip[0] == 0xfe && (address.ip[1] & 0xc0) == 0x80;
}

HeartbeatAddress Loopback() {
  HeartbeatAddress address;
  std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), address.ip.begin());
  address.ip[kMappedAt] = 127;
  address.ip.back() = 1;
  return address;
}

}  // namespace

absl::StatusOr<std::unique_ptr<HeartbeatSocket>> HeartbeatSocket::Open(bool loopback) {
  std::unique_ptr<HeartbeatSocket> result(new HeartbeatSocket);
  constexpr int kFlags = SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
  result->socket_ = socket(AF_INET6, kFlags, 0);
  const int off = 0;
  if (result->socket_ >= 0 &&
      setsockopt(result->socket_, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) != 0) {
    return SystemError("setsockopt(IPV6_V6ONLY)");
  }
  if (result->socket_ < 0) {
    result->ipv6_ = false;
    result->socket_ = socket(AF_INET, kFlags, 0);
  }
  if (result->socket_ < 0) return SystemError("socket");
  result->wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (result->wake_ < 0) return SystemError("eventfd");
  EQ_RETURN_IF_ERROR(result->Bind(loopback));
  EQ_RETURN_IF_ERROR(result->FindAddresses(loopback));
  return result;
}

HeartbeatSocket::~HeartbeatSocket() {
  if (socket_ >= 0) close(socket_);
  if (wake_ >= 0) close(wake_);
}

absl::Status HeartbeatSocket::Bind(bool loopback) {
  HeartbeatAddress any;  // zeros: every interface, in both families
  if (loopback) any = Loopback();
  const SystemAddress address = ToSystem(any, ipv6_);
  if (bind(socket_, reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0) {
    return SystemError("bind");
  }
  return absl::OkStatus();
}

absl::Status HeartbeatSocket::FindAddresses(bool loopback) {
  SystemAddress bound;
  bound.size = sizeof(bound.storage);
  auto* storage = reinterpret_cast<sockaddr*>(&bound.storage);
  if (getsockname(socket_, storage, &bound.size) != 0) return SystemError("getsockname");
  const std::optional<HeartbeatAddress> own = FromSystem(storage);
  if (!own.has_value()) return absl::UnavailableError("getsockname: a family of its own");
  if (loopback) {
    contact_.addresses[contact_.num_addresses++] = *own;
    return absl::OkStatus();
  }
  ifaddrs* interfaces = nullptr;
  if (getifaddrs(&interfaces) != 0) return SystemError("getifaddrs");
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(interfaces, &freeifaddrs);
  for (const ifaddrs* i = interfaces; i != nullptr; i = i->ifa_next) {
    const bool is_up = (i->ifa_flags & IFF_UP) != 0 && (i->ifa_flags & IFF_LOOPBACK) == 0;
    std::optional<HeartbeatAddress> address = FromSystem(i->ifa_addr);
    if (!is_up || !address.has_value() || IsLinkLocal(*address)) continue;
    if (!ipv6_ && !IsMapped(*address)) continue;
    if (contact_.num_addresses == HeartbeatContact::kMaxAddresses) break;
    address->port = own->port;
    contact_.addresses[contact_.num_addresses++] = *address;
  }
  if (contact_.num_addresses == 0) return absl::UnavailableError("this host has no address");
  return absl::OkStatus();
}

void HeartbeatSocket::Send(const HeartbeatAddress& to, std::span<const std::byte> packet) {
  if (!ipv6_ && !IsMapped(to)) return;
  const SystemAddress address = ToSystem(to, ipv6_);
  // A lost packet looks the same to the peer, whatever lost it.
  (void)sendto(socket_, packet.data(), packet.size(), MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr*>(&address.storage), address.size);
}

std::optional<HeartbeatSocket::Arrival> HeartbeatSocket::Receive(std::span<std::byte> buffer,
                                                                 absl::Duration patience) {
  pollfd events[2] = {{socket_, POLLIN, 0}, {wake_, POLLIN, 0}};
  const int64_t milliseconds =
      absl::ToInt64Milliseconds(absl::Ceil(patience, absl::Milliseconds(1)));
  if (poll(events, 2, static_cast<int>(std::clamp<int64_t>(milliseconds, 0, 1000000))) <= 0) {
    return std::nullopt;
  }
  if (events[1].revents != 0) {
    uint64_t count = 0;
    (void)!read(wake_, &count, sizeof(count));
    return std::nullopt;
  }
  SystemAddress from;
  from.size = sizeof(from.storage);
  auto* storage = reinterpret_cast<sockaddr*>(&from.storage);
  const ssize_t got = recvfrom(socket_, buffer.data(), buffer.size(), 0, storage, &from.size);
  if (got < 0) return std::nullopt;
  const std::optional<HeartbeatAddress> sender = FromSystem(storage);
  if (!sender.has_value()) return std::nullopt;
  return Arrival{static_cast<size_t>(got), *sender};
}

void HeartbeatSocket::Wake() {
  const uint64_t one = 1;
  (void)!write(wake_, &one, sizeof(one));
}

}  // namespace equipoise::comm
