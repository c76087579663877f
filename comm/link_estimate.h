#ifndef EQUIPOISE_COMM_LINK_ESTIMATE_H_
#define EQUIPOISE_COMM_LINK_ESTIMATE_H_

#include <cstddef>
#include <vector>

#include "comm/link_model.h"
#include "comm/topology.h"

namespace equipoise::comm {

// What links cost, as far as a run knows by now: what was measured when it started, corrected by
// the exchanges that it has made since. Half a second of measuring tells a latency or a rate within
// a third; and what no model of links has in it (ranks that wait for a core, one stream where a
// network likes four) is a factor of each kind of exchange.
//
// An extended Kalman filter (Anderson and Moore, Optimal Filtering, 1979, chapter 8) on the
// logarithms of all latencies, of the slopes of all lines and of the factors. In logarithms an
// exchange's seconds grow with each of these by the share that it has in them, so that each takes
// the blame in proportion to its share, and to how little is known of it. Each wanders about what
// was measured (an Ornstein-Uhlenbeck process): links that change are followed, and what exchanges
// no longer show is forgotten. An exchange that took ten times as long as expected says little more
// than one that took three times as long.
//
// A value. Pure, and made of operations that IEEE 754 rounds exactly, none of them contracted
// (-ffp-contract=off): estimates that see the same exchanges in the same order are the same on all
// ranks, bit for bit, whatever their processors.
class LinkEstimate {
 public:
  // Of `num_kinds` kinds of exchange. Links that were not measured never change, and if none
  // were, nothing does.
  LinkEstimate(const LinkModel& links, const MeasuredLinks& measured, int num_kinds);

  // As they are thought to be now.
  const LinkModel& links() const { return links_; }
  // What an exchange of this kind takes, in seconds by links().
  double factor(int kind) const;

  // An exchange, or a part of one, that asked for `uses`, took so long. Ignores exchanges of no
  // seconds, without an end, or of no cost.
  void Observe(const LinkUses& uses, int kind, double seconds);

 private:
  size_t size() const { return factors_.size(); }
  double& Covariance(size_t row, size_t column) { return covariance_[row * size() + column]; }
  // The share that each number has in the seconds of an exchange, [size()]; the seconds.
  std::vector<double> Shares(const LinkUses& uses, int kind, double* seconds) const;
  void Age();
  void Refresh();

  LinkModel start_;         // when the run started
  MeasuredLinks measured_;  // which of these were measured
  LinkModel links_;
  std::vector<double> factors_;     // what the measured numbers are to be multiplied with
  std::vector<double> prior_;       // variances of their logarithms at first
  std::vector<double> covariance_;  // [size(), size()]: now
};

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_LINK_ESTIMATE_H_
