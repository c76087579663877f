#include "comm/link_estimate.h"

#include <algorithm>
#include <cmath>

#include "core/base/check.h"

namespace equipoise::comm {
namespace {

// Of each class its latency, then its lines; then the kinds' factors.
constexpr size_t kOfLinks = (1 + Link::kNumLines) * kNumLinkClasses;

// Standard deviations, of logarithms. What a measurement at start is wrong by: of a latency, which
// is that of an idle moment; of a line; of the line beyond all pieces that were measured. Of a
// kind's factor: little, so that what one kind shows counts for all until they are seen to differ.
// Else the kind that runs would seem better than those that do not, by its part of a common error.
constexpr double kOfLatency = 0.7;
constexpr double kOfLine = 0.35;
constexpr double kOfLineBeyond = 0.7;
constexpr double kOfFactor = 0.1;
// Of one exchange about what is to be expected, if it took less, or more: what disturbs an
// exchange, a rank without a core or a lost packet, only ever adds, and may add much.
constexpr double kOfSooner = 0.2;
constexpr double kOfLater = 0.3;
// How much of a distance from what was measured an exchange leaves: half of it after 280.
constexpr double kKept = 0.9975;
// An exchange further off than so many standard deviations is taken for one that far off.
constexpr double kFarthest = 2.0;

constexpr double Square(double x) { return x * x; }

// Close to the logarithm of a number around 1, and within -2 and 2; and its inverse. From the C
// library they may differ in their last bit from one processor to another.
constexpr double NearLog(double x) { return 2.0 * (x - 1.0) / (x + 1.0); }
constexpr double NearExp(double x) { return (2.0 + x) / (2.0 - x); }

}  // namespace

LinkEstimate::LinkEstimate(const LinkModel& links, const MeasuredLinks& measured, int num_kinds)
    : start_(links), measured_(measured), links_(links) {
  const bool any = std::find(measured.begin(), measured.end(), true) != measured.end();
  for (const bool of_class : measured) {
    prior_.push_back(of_class ? Square(kOfLatency) : 0.0);
    prior_.insert(prior_.end(), Link::kNumLines, of_class ? Square(kOfLine) : 0.0);
    if (of_class) prior_.back() = Square(kOfLineBeyond);
  }
  prior_.resize(kOfLinks + static_cast<size_t>(num_kinds), any ? Square(kOfFactor) : 0.0);
  EQ_CHECK_GE(num_kinds, 1);
  factors_.assign(prior_.size(), 1.0);
  covariance_.assign(size() * size(), 0.0);
  for (size_t i = 0; i < size(); ++i) Covariance(i, i) = prior_[i];
}

double LinkEstimate::factor(int kind) const {
  const size_t index = kOfLinks + static_cast<size_t>(kind);
  EQ_CHECK_LT(index, size());
  return factors_[index];
}

std::vector<double> LinkEstimate::Shares(const LinkUses& uses, int kind, double* seconds) const {
  std::vector<double> shares;
  double all = 0.0;
  for (size_t c = 0; c < kNumLinkClasses; ++c) {
    const Link& link = links_[static_cast<LinkClass>(c)];
    const Link::Lines slopes = link.Slopes();
    shares.push_back(uses[c].messages * link.latency);
    for (size_t line = 0; line < slopes.size(); ++line) {
      shares.push_back(uses[c].bytes[line] * slopes[line]);
    }
  }
  for (const double of_links : shares) all += of_links;
  for (double& of_links : shares) of_links /= all;
  shares.resize(size(), 0.0);
  shares[kOfLinks + static_cast<size_t>(kind)] = 1.0;
  *seconds = all * factor(kind);
  return shares;
}

void LinkEstimate::Observe(const LinkUses& uses, int kind, double seconds) {
  const bool learns = prior_.back() > 0.0;
  if (!learns || !(seconds > 0.0) || !std::isfinite(seconds)) return;
  Age();
  double expected = 0.0;
  const std::vector<double> shares = Shares(uses, kind, &expected);
  if (!(expected > 0.0)) return;
  std::vector<double> gain(size(), 0.0);
  double variance = Square(seconds < expected ? kOfSooner : kOfLater);
  for (size_t i = 0; i < size(); ++i) {
    for (size_t j = 0; j < size(); ++j) gain[i] += Covariance(i, j) * shares[j];
    variance += gain[i] * shares[i];
  }
  const double farthest = kFarthest * std::sqrt(variance);
  const double error = std::clamp(NearLog(seconds / expected), -farthest, farthest);
  for (size_t i = 0; i < size(); ++i) {
    factors_[i] *= NearExp(std::clamp(gain[i] / variance * error, -1.0, 1.0));
    for (size_t j = 0; j < size(); ++j) Covariance(i, j) -= gain[i] * gain[j] / variance;
  }
  Refresh();
}

void LinkEstimate::Age() {
  for (double& of_pair : covariance_) of_pair *= Square(kKept);
  for (size_t i = 0; i < size(); ++i) {
    Covariance(i, i) += (1.0 - Square(kKept)) * prior_[i];
    factors_[i] = NearExp(kKept * NearLog(factors_[i]));
  }
  Refresh();
}

void LinkEstimate::Refresh() {
  const double* factor = factors_.data();
  for (size_t c = 0; c < kNumLinkClasses; ++c, factor += 1 + Link::kNumLines) {
    if (!measured_[c]) continue;
    const Link& start = start_[static_cast<LinkClass>(c)];
    Link& link = links_[static_cast<LinkClass>(c)];
    link.latency = start.latency * factor[0];
    const Link::Lines slopes = start.Slopes();
    double seconds = 0.0;
    double size = 0.0;
    for (size_t line = 0; line < Link::kSizes.size(); ++line) {
      seconds += slopes[line] * factor[1 + line] * (Link::kSizes[line] - size);
      size = Link::kSizes[line];
      link.seconds_per_byte[line] = seconds / size;
    }
    link.beyond = slopes.back() * factor[Link::kNumLines];
  }
}

}  // namespace equipoise::comm
