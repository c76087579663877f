#ifndef EQUIPOISE_COMM_LIVENESS_SILENCE_H_
#define EQUIPOISE_COMM_LIVENESS_SILENCE_H_

#include <cstddef>
#include <vector>

#include "absl/time/time.h"

namespace equipoise::comm {

// How long each of several peers has been silent, counted in time in which this process ran: one
// that was stopped, suspended or swapped out must not take its own absence for that of the others.
// A peer is judged only once it has been heard: what never came through may be a firewall's doing.
// A value, used by one thread.
class Silence {
 public:
  // A peer is lost after `limit`. One tick counts for at most `longest_tick`.
  Silence(size_t num_peers, absl::Duration limit, absl::Duration longest_tick)
      : limit_(limit), longest_tick_(longest_tick), peers_(num_peers) {}

  void Heard(size_t peer) { peers_[peer] = {true, absl::ZeroDuration()}; }
  // Time has gone by. What arrived in it must have been told before.
  void Tick(absl::Duration elapsed);

  bool was_heard(size_t peer) const { return peers_[peer].heard; }
  absl::Duration silent_for(size_t peer) const { return peers_[peer].silent; }
  // Empty while no peer is lost. Otherwise also those that are about to be, within two ticks: what
  // was lost together is told together.
  std::vector<size_t> Lost() const;

 private:
  struct Peer {
    bool heard = false;
    absl::Duration silent = absl::ZeroDuration();
  };

  absl::Duration limit_;
  absl::Duration longest_tick_;
  std::vector<Peer> peers_;
};

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_LIVENESS_SILENCE_H_
