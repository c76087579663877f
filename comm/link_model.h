#ifndef EQUIPOISE_COMM_LINK_MODEL_H_
#define EQUIPOISE_COMM_LINK_MODEL_H_

#include <array>
#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "comm/topology.h"

namespace equipoise::comm {

// What a link costs: `latency` seconds a message, and what is in it by its size. Hockney's model
// (The communication challenge for MPP, 1994) with bends: a network that lets a first burst pass,
// or whose queues drop what comes too fast, has no one rate. All 0: not known, and free.
struct Link {
  // Bytes of the pieces that the rates are of, ascending.
  static constexpr std::array<double, 3> kSizes = {131072.0, 524288.0, 2097152.0};

  Link() = default;
  // One rate for all sizes.
  Link(double latency, double seconds_per_byte)
      : latency(latency), seconds_per_byte{seconds_per_byte, seconds_per_byte, seconds_per_byte} {}

  // Of the lines through 0 and the pieces of kSizes, and of the one beyond them.
  static constexpr size_t kNumLines = kSizes.size() + 1;
  using Lines = std::array<double, kNumLines>;

  bool known() const { return latency > 0.0 || seconds_per_byte[0] > 0.0; }
  // Seconds a byte along each line; never below 0.
  Lines Slopes() const;
  // How many of `bytes` lie along each line.
  static Lines Split(double bytes);
  // Seconds of `bytes`, without the latency: along the lines. Never falls with the bytes.
  double Seconds(double bytes) const;

  double latency = 0.0;
  std::array<double, kSizes.size()> seconds_per_byte = {};  // on average over a piece of each size
  // Seconds a byte beyond the last size; 0: the last line goes on. Only a run learns it: neither
  // files nor the configuration have it.
  double beyond = 0.0;
};

// By class: whether its links were measured. If not, they are as somebody gave them.
using MeasuredLinks = std::array<bool, kNumLinkClasses>;

// What is asked of a class of links: messages, and bytes along its lines (Link::Split).
struct LinkUse {
  double messages = 0.0;
  Link::Lines bytes = {};

  LinkUse& operator+=(const LinkUse& other);
};
using LinkUses = std::array<LinkUse, kNumLinkClasses>;  // by class
LinkUses& operator+=(LinkUses& uses, const LinkUses& more);

// The links of a job, by class. A value; the same on all ranks.
//
//   kSelf    rows gathered in a rank's memory; bytes of one rank
//   kNode    between ranks of a node, all of them busy; bytes that one rank sends, or receives
//   kRemote  the node's own link, which its ranks share; bytes that one node sends, or receives:
//            twice the ranks on a node do not make it twice as fast
//   kFar     the link of a group of nodes to other groups, which its nodes share; bytes that one
//            group sends, or receives
class LinkModel {
 public:
  Link& operator[](LinkClass link) { return links_[static_cast<size_t>(link)]; }
  const Link& operator[](LinkClass link) const { return links_[static_cast<size_t>(link)]; }

  // Whether every class of link that ranks of `topology` use is known.
  bool Covers(const Topology& topology) const;
  // Whether no class is known.
  bool empty() const;
  // For a model that somebody gave for `topology`: which classes it lacks there, "remote, far".
  // Empty if it covers the topology, or is empty: nobody meant to give all.
  std::string Missing(const Topology& topology) const;

 private:
  std::array<Link, kNumLinkClasses> links_;
};

// Seconds of all that is asked, one after the other.
double Seconds(const LinkModel& links, const LinkUses& uses);

// As files and the configuration spell them: "self", "node", "remote", "far".
absl::string_view Name(LinkClass link);

// A line for each known class: its name, seconds a message, and seconds a byte, one number, or one
// for pieces of each of Link::kSizes; nine digits. Empty lines and what follows # are no part of
// it.
//
//   remote 6.1e-05 9.2e-09                      # 1 Gbit/s
//   remote 4.6e-05 8.3e-09 8.9e-09 1.2e-08      # slower when it is full
std::string LinksToText(const LinkModel& links);
// InvalidArgument names the line and what is wrong with it. Classes without a line stay unknown.
absl::StatusOr<LinkModel> LinksFromText(absl::string_view text);

// For people: "node 4.2 us, 2.1 GB/s; remote 61 us, 121 to 84 MB/s", short pieces and long ones
// where they differ.
std::string Describe(const LinkModel& links);

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_LINK_MODEL_H_
