#include "core/data/node_mixture.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/rng.h"
#include "core/base/status_macros.h"

namespace equipoise {
namespace {

// Less of a node than this is rounding.
constexpr double kNothing = 1e-9;

}  // namespace

absl::StatusOr<NodeMixture> NodeMixture::Create(std::span<const double> shares,
                                                std::span<const int64_t> sequences, uint64_t seed) {
  const double all = std::accumulate(shares.begin(), shares.end(), 0.0);
  const auto batch =
      static_cast<double>(std::accumulate(sequences.begin(), sequences.end(), int64_t{0}));
  std::vector<Node> nodes;
  std::vector<uint64_t> taken(shares.size(), 0);
  int64_t first = 0;
  for (const int64_t count : sequences) {
    const double begin = static_cast<double>(first) / batch;
    first += count;
    const double end = static_cast<double>(first) / batch;
    std::vector<double> weights;
    std::vector<Part> parts;
    double position = 0.0;
    for (size_t d = 0; d < shares.size(); ++d) {
      const double next = position + shares[d] / all;
      const double weight = std::min(end, next) - std::max(begin, position);
      position = next;
      if (weight < kNothing * (end - begin)) continue;
      weights.push_back(weight);
      parts.push_back({static_cast<int>(d), 0, 0});
    }
    const std::string name = absl::StrCat("data.node.", nodes.size());
    EQ_ASSIGN_OR_RETURN(Mixture mixture, Mixture::Create(weights, StreamKey(seed, name)));
    for (size_t i = 0; i < parts.size(); ++i) {
      uint64_t& ordinals = taken[static_cast<size_t>(parts[i].domain)];
      parts[i].before = ordinals;
      ordinals += static_cast<uint64_t>(mixture.quota(static_cast<int>(i)));
    }
    nodes.push_back({std::move(mixture), std::move(parts), count});
  }
  for (Node& node : nodes) {
    for (Part& part : node.parts) part.of_block = taken[static_cast<size_t>(part.domain)];
  }
  return NodeMixture(std::move(nodes));
}

Mixture::Draw NodeMixture::At(int node, uint64_t index) const {
  const Node& of = nodes_[static_cast<size_t>(node)];
  const Mixture::Draw draw = of.mixture.At(index);
  const Part& part = of.parts[static_cast<size_t>(draw.domain)];
  const auto quota = static_cast<uint64_t>(of.mixture.quota(draw.domain));
  return {part.domain, draw.ordinal / quota * part.of_block + part.before + draw.ordinal % quota};
}

double NodeMixture::share(int node, int domain) const {
  const Node& of = nodes_[static_cast<size_t>(node)];
  for (size_t i = 0; i < of.parts.size(); ++i) {
    if (of.parts[i].domain == domain) return of.mixture.share(static_cast<int>(i));
  }
  return 0.0;
}

std::vector<int> NodeMixture::NodesOf(int domain) const {
  std::vector<int> found;
  for (int node = 0; node < static_cast<int>(nodes_.size()); ++node) {
    if (share(node, domain) > 0.0) found.push_back(node);
  }
  return found;
}

int NodeMixture::HomeOfHeldOut(int domain, uint64_t index) const {
  // Multiples of the golden ratio fill [0, 1) evenly, however many there are.
  const double turns = static_cast<double>(index) * std::numbers::phi;
  const auto samples = [&](size_t node) {
    return share(static_cast<int>(node), domain) * static_cast<double>(nodes_[node].sequences);
  };
  double all = 0.0;
  for (size_t node = 0; node < nodes_.size(); ++node) all += samples(node);
  double place = (turns - std::floor(turns)) * all;
  int home = -1;
  for (size_t node = 0; node < nodes_.size(); ++node) {
    const double here = samples(node);
    if (here == 0.0) continue;
    home = static_cast<int>(node);
    if (place < here) break;
    place -= here;
  }
  return home;
}

}  // namespace equipoise
