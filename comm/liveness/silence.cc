#include "comm/liveness/silence.h"

#include <algorithm>

namespace equipoise::comm {

void Silence::Tick(absl::Duration elapsed) {
  const absl::Duration counted = std::min(elapsed, longest_tick_);
  for (Peer& peer : peers_) peer.silent += counted;
}

std::vector<size_t> Silence::Lost() const {
  std::vector<size_t> lost;
  bool is_certain = false;
  for (size_t i = 0; i < peers_.size(); ++i) {
    const Peer& peer = peers_[i];
    if (!peer.heard || peer.silent < limit_ - 2 * longest_tick_) continue;
    lost.push_back(i);
    is_certain = is_certain || peer.silent >= limit_;
  }
  if (!is_certain) lost.clear();
  return lost;
}

}  // namespace equipoise::comm
