#ifndef EQUIPOISE_COMM_LINK_MODEL_H_
#define EQUIPOISE_COMM_LINK_MODEL_H_

#include <array>
#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "comm/topology.h"

namespace equipoise::comm {

// What a link costs: `latency` seconds a message and `seconds_per_byte`. Hockney's model (The
// communication challenge for MPP, 1994). Both 0: not known, and free.
struct Link {
  double latency = 0.0;
  double seconds_per_byte = 0.0;

  bool known() const { return latency > 0.0 || seconds_per_byte > 0.0; }
};

// The links of a job, by class. A value; the same on all ranks.
//
//   kSelf    rows gathered in a rank's memory; bytes of one rank
//   kNode    between ranks of a node, all of them busy; bytes that one rank sends, or receives
//   kRemote  the node's own link, which its ranks share; bytes that one node sends, or receives:
//            twice the ranks on a node do not make it twice as fast
class LinkModel {
 public:
  Link& operator[](LinkClass link) { return links_[static_cast<size_t>(link)]; }
  const Link& operator[](LinkClass link) const { return links_[static_cast<size_t>(link)]; }

  // Whether every class of link that ranks of `topology` use is known.
  bool Covers(const Topology& topology) const;

 private:
  std::array<Link, kNumLinkClasses> links_;
};

// As files and the configuration spell them: "self", "node", "remote".
absl::string_view Name(LinkClass link);

// A line for each known class: its name, seconds a message, seconds a byte, nine digits. Empty
// lines and what follows # are no part of it.
//
//   remote 6.1e-05 9.2e-09    # 1 Gbit/s
std::string LinksToText(const LinkModel& links);
// InvalidArgument names the line and what is wrong with it. Classes without a line stay unknown.
absl::StatusOr<LinkModel> LinksFromText(absl::string_view text);

// For people: "node 4.2 us, 2.1 GB/s; remote 61 us, 109 MB/s".
std::string Describe(const LinkModel& links);

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_LINK_MODEL_H_
