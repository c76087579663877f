#include "comm/link_estimate.h"

#include <cmath>
#include <cstdint>
#include <vector>

#include "core/base/rng.h"
#include "gtest/gtest.h"

namespace equipoise::comm {
namespace {

constexpr MeasuredLinks kAll = {true, true, true, true};
constexpr int kKinds = 3;

LinkModel AtStart() {
  LinkModel links;
  links[LinkClass::kSelf] = {1e-7, 1e-10};
  links[LinkClass::kNode] = {1e-5, 1e-9};
  links[LinkClass::kRemote] = {5e-5, 1e-8};
  return links;
}

// An exchange between nodes: so many messages and bytes over the remote link, and a tenth of the
// bytes in memory.
LinkUses Across(double messages, double bytes) {
  LinkUses uses = {};
  uses[static_cast<size_t>(LinkClass::kSelf)] = {0.0, Link::Split(0.1 * bytes)};
  uses[static_cast<size_t>(LinkClass::kRemote)] = {messages, Link::Split(bytes)};
  return uses;
}

double Predicted(const LinkEstimate& estimate, const LinkUses& uses, int kind) {
  return estimate.factor(kind) * Seconds(estimate.links(), uses);
}

// Of all sizes from 1 KiB to 32 MiB, the mean error of what is expected, relative.
double MeanError(const LinkEstimate& estimate, const LinkModel& truth,
                 const std::vector<double>& factors) {
  double sum = 0.0;
  int count = 0;
  for (double bytes = 1024.0; bytes <= 32.0 * (1 << 20); bytes *= 2.0) {
    for (int kind = 0; kind < kKinds; ++kind, ++count) {
      const LinkUses uses = Across(3.0, bytes);
      const double actual = factors[static_cast<size_t>(kind)] * Seconds(truth, uses);
      sum += std::abs(Predicted(estimate, uses, kind) / actual - 1.0);
    }
  }
  return sum / count;
}

// Exchanges of all sizes and kinds at random, each up to 3 % off the truth.
void See(LinkEstimate& estimate, const LinkModel& truth, const std::vector<double>& factors,
         int exchanges, const char* stream) {
  const Philox random(StreamKey(1, stream));
  for (int i = 0; i < exchanges; ++i) {
    const auto draw = static_cast<uint64_t>(3 * i);
    const LinkUses uses = Across(3.0, std::exp2(10.0 + 15.0 * random.Uniform(draw)));
    const int kind = static_cast<int>(random.Below(kKinds, draw + 1));
    const double noise = 0.97 + 0.06 * random.Uniform(draw + 2);
    estimate.Observe(uses, kind, noise * factors[static_cast<size_t>(kind)] * Seconds(truth, uses));
  }
}

TEST(LinkEstimate, IsTheMeasurementBeforeAnyExchange) {
  const LinkEstimate estimate(AtStart(), kAll, kKinds);
  EXPECT_EQ(LinksToText(estimate.links()), LinksToText(AtStart()));
  for (int kind = 0; kind < kKinds; ++kind) EXPECT_EQ(estimate.factor(kind), 1.0);
}

TEST(LinkEstimate, LearnsWhatLinksCost) {
  LinkModel truth = AtStart();
  truth[LinkClass::kRemote] = {1e-4, 1.4e-8};
  truth[LinkClass::kRemote].seconds_per_byte = {1.2e-8, 1.4e-8, 1.6e-8};
  truth[LinkClass::kRemote].beyond = 2.5e-8;
  const std::vector<double> factors = {1.0, 1.25, 0.9};
  LinkEstimate estimate(AtStart(), kAll, kKinds);
  EXPECT_GT(MeanError(estimate, truth, factors), 0.3);
  See(estimate, truth, factors, 30, "few");
  EXPECT_LT(MeanError(estimate, truth, factors), 0.1);
  See(estimate, truth, factors, 200, "more");
  EXPECT_LT(MeanError(estimate, truth, factors), 0.05);
  // What one kind takes more than another is the kind's, for the most part, not the links'.
  EXPECT_NEAR(estimate.factor(1) / estimate.factor(0), 1.25, 0.08);
  EXPECT_NEAR(estimate.factor(2) / estimate.factor(0), 0.9, 0.05);
}

TEST(LinkEstimate, FollowsLinksThatChange) {
  const std::vector<double> factors(kKinds, 1.0);
  LinkEstimate estimate(AtStart(), kAll, kKinds);
  See(estimate, AtStart(), factors, 500, "as measured");
  EXPECT_LT(MeanError(estimate, AtStart(), factors), 0.05);
  LinkModel busy = AtStart();
  busy[LinkClass::kRemote] = {1e-4, 3e-8};
  See(estimate, busy, factors, 100, "busy");
  EXPECT_LT(MeanError(estimate, busy, factors), 0.12);
}

// As in a run whose layers are all of one size, for a long time.
TEST(LinkEstimate, FollowsAfterManyExchangesOfOneSize) {
  LinkEstimate estimate(AtStart(), kAll, kKinds);
  const LinkUses uses = Across(3.0, 4e6);
  const double before = Seconds(AtStart(), uses);
  for (int i = 0; i < 5000; ++i) estimate.Observe(uses, 0, before);
  EXPECT_NEAR(Predicted(estimate, uses, 0), before, 0.01 * before);
  for (int i = 0; i < 100; ++i) estimate.Observe(uses, 0, 3.0 * before);
  EXPECT_NEAR(Predicted(estimate, uses, 0), 3.0 * before, 0.12 * 3.0 * before);
}

// An algorithm that looked slow in a bad moment is not given up for ever.
TEST(LinkEstimate, ForgetsWhatItNoLongerSees) {
  LinkEstimate estimate(AtStart(), kAll, kKinds);
  const LinkUses uses = Across(3.0, 4e6);
  const double usual = Seconds(AtStart(), uses);
  for (int i = 0; i < 100; ++i) {
    estimate.Observe(uses, 0, usual);
    estimate.Observe(uses, 1, 2.0 * usual);
  }
  const double slow = estimate.factor(1) / estimate.factor(0);
  EXPECT_GT(slow, 1.2);
  for (int i = 0; i < 2000; ++i) estimate.Observe(uses, 0, usual);
  EXPECT_LT(estimate.factor(1) / estimate.factor(0), 1.0 + 0.1 * (slow - 1.0));
}

TEST(LinkEstimate, BlamesWhatHasAShareInTheSeconds) {
  LinkEstimate estimate(AtStart(), kAll, kKinds);
  for (int i = 0; i < 20; ++i) {
    const LinkUses uses = Across(0.0, Link::kSizes[0]);
    estimate.Observe(uses, 0, 1.5 * Seconds(AtStart(), uses));
  }
  const Link& remote = estimate.links()[LinkClass::kRemote];
  const Link start = AtStart()[LinkClass::kRemote];
  EXPECT_GT(remote.Slopes()[0], 1.15 * start.Slopes()[0]);
  EXPECT_NEAR(Predicted(estimate, Across(0.0, Link::kSizes[0]), 0),
              1.5 * Seconds(AtStart(), Across(0.0, Link::kSizes[0])), 2e-4);
  // Nothing was seen of these: messages, longer pieces, links inside nodes, other kinds.
  EXPECT_EQ(remote.latency, start.latency);
  for (size_t line = 1; line < Link::kNumLines; ++line) {
    EXPECT_NEAR(remote.Slopes()[line] / start.Slopes()[line], 1.0, 1e-12);
  }
  EXPECT_NEAR(estimate.links()[LinkClass::kNode].Seconds(1e6), 1e-3, 1e-15);
  EXPECT_EQ(estimate.factor(1), 1.0);
}

TEST(LinkEstimate, OneStallSaysLittle) {
  const std::vector<double> factors(kKinds, 1.0);
  LinkEstimate estimate(AtStart(), kAll, kKinds);
  See(estimate, AtStart(), factors, 200, "as measured");
  LinkEstimate late = estimate;
  late.Observe(Across(3.0, 1e6), 0, 30.0);  // 3000 times as long
  EXPECT_LT(Predicted(late, Across(3.0, 1e6), 0), 1.25 * Predicted(estimate, Across(3.0, 1e6), 0));
}

TEST(LinkEstimate, StaysAsItWasGiven) {
  const auto seen = [](const MeasuredLinks& measured) {
    LinkEstimate estimate(AtStart(), measured, kKinds);
    for (int i = 0; i < 10; ++i) estimate.Observe(Across(3.0, 4e6), 1, 0.5);
    return estimate;
  };
  const auto expect_as_given = [](const LinkEstimate& estimate, LinkClass link) {
    EXPECT_EQ(estimate.links()[link].latency, AtStart()[link].latency);
    EXPECT_EQ(estimate.links()[link].seconds_per_byte, AtStart()[link].seconds_per_byte);
    EXPECT_EQ(estimate.links()[link].beyond, 0.0);
  };
  const LinkEstimate given = seen({false, false, false, false});
  for (const LinkClass link : {LinkClass::kSelf, LinkClass::kNode, LinkClass::kRemote}) {
    expect_as_given(given, link);
  }
  EXPECT_EQ(given.factor(1), 1.0);
  // Of a model that was given in part, the other part is corrected.
  const LinkEstimate in_part = seen({false, false, true, false});
  expect_as_given(in_part, LinkClass::kSelf);
  expect_as_given(in_part, LinkClass::kNode);
  EXPECT_GT(in_part.links()[LinkClass::kRemote].Seconds(4e6), 0.05);
}

TEST(LinkEstimate, PassesOverWhatTellsNothing) {
  LinkEstimate estimate(AtStart(), kAll, kKinds);
  estimate.Observe(LinkUses{}, 0, 1.0);
  for (const double seconds : {0.0, -1.0, std::nan(""), std::exp(1e9)}) {
    estimate.Observe(Across(3.0, 4e6), 0, seconds);
  }
  EXPECT_EQ(LinksToText(estimate.links()), LinksToText(AtStart()));
  LinkEstimate unknown(LinkModel(), kAll, kKinds);
  unknown.Observe(Across(3.0, 4e6), 0, 1.0);
  EXPECT_TRUE(unknown.links().empty());
  EXPECT_EQ(unknown.factor(0), 1.0);
}

}  // namespace
}  // namespace equipoise::comm
