// What routers tell of the angles of tokens and their experts, and what a floor makes of
// capacities.

#include "routing/capacity_limit.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "routing/capacity_floor.h"
#include "tests/routing/router_fixture.h"
#include "tests/support/compare.h"

namespace equipoise::routing {
namespace {

using testing_support::SameBits;
using testing_support::SetDoubles;
using testing_support::ToDoubles;

constexpr int64_t kHidden = 20;
constexpr int kExperts = 5;
constexpr int kTopK = 2;
constexpr int64_t kLength = 35;  // not a divisor of a tile

std::map<std::string, double> FiguresOf(const RouterFixture& fixture,
                                        const std::vector<double>& sums) {
  std::map<std::string, double> figures;
  for (const auto& [name, value] : fixture.router().Figures(sums)) figures[name] = value;
  return figures;
}

RouterOptions Measured(const std::string& kind) {
  RouterOptions options = OptionsOf(kind, kHidden, kExperts, kTopK);
  options.measure_angles = true;
  if (kind == "expert_choice") options.balance_loss.coefficient = 0.0;
  // Experts keep all that asks for them, so that the ids are those of the angles.
  if (kind == "token_resonance") options.settings.Set("capacity_factor", 1000.0);
  return options;
}

// Row `expert` of what stands for the experts.
std::vector<double> DirectionOf(const RouterFixture& fixture, int expert) {
  const size_t hidden = kHidden;
  std::vector<double> direction(hidden, 0.0);
  const auto& parameters = fixture.parameters();
  if (parameters.empty()) {
    const size_t width = hidden / kExperts;
    std::fill_n(direction.begin() + static_cast<int64_t>(static_cast<size_t>(expert) * width),
                width, 1.0);
    return direction;
  }
  const auto weight = ToDoubles(parameters.front()->value());
  std::copy_n(weight.begin() + expert * kHidden, hidden, direction.begin());
  return direction;
}

double Cosine(const std::vector<double>& x, size_t row, const std::vector<double>& direction) {
  double product = 0.0;
  double square = 0.0;
  double other = 0.0;
  for (size_t i = 0; i < direction.size(); ++i) {
    const double value = x[row * direction.size() + i];
    product += value * direction[i];
    square += value * value;
    other += direction[i] * direction[i];
  }
  return square > 0.0 && other > 0.0 ? product / std::sqrt(square * other) : 0.0;
}

struct Expected {
  double cosine = 0.0;
  double largest = 0.0;
  double floor = 0.0;
};

Expected ByDefinition(const RouterFixture& fixture, const RouterPass& pass) {
  const auto x = ToDoubles(pass.x);
  const auto ids = pass.ids();
  const size_t copies = ids.size() / static_cast<size_t>(pass.num_tokens());
  const auto length = static_cast<size_t>(kLength);
  Expected expected;
  double all = 0.0;
  const size_t sequences = static_cast<size_t>(pass.num_tokens()) / length;
  for (size_t sequence = 0; sequence < sequences; ++sequence) {
    double sum = 0.0;
    double count = 0.0;
    double largest = -1.0;
    for (size_t i = sequence * length * copies; i < (sequence + 1) * length * copies; ++i) {
      if (ids[i] < 0) continue;
      const double cosine = Cosine(x, i / copies, DirectionOf(fixture, ids[i]));
      sum += cosine;
      count += 1.0;
      largest = std::max(largest, cosine);
    }
    expected.cosine += sum;
    all += count;
    expected.largest += largest / static_cast<double>(sequences);
    expected.floor += std::min(CapacityFloor(kExperts, kHidden, sum / count), double{kLength}) /
                      static_cast<double>(sequences);
  }
  expected.cosine /= all;
  return expected;
}

class RouteAnglesTest : public ::testing::TestWithParam<const char*> {};

TEST_P(RouteAnglesTest, AreThoseOfTheDefinition) {
  for (const DType dtype : {DType::kF64, DType::kF32}) {
    RouterFixture fixture(Measured(GetParam()), dtype);
    RouterPass pass = fixture.NormalPass(4 * kLength, kLength, 3);
    auto x = ToDoubles(pass.x);
    std::fill_n(x.begin() + 7 * kHidden, kHidden, 0.0);  // a token without a direction
    for (size_t i = 0; i < static_cast<size_t>(kHidden); ++i) x[i] = -std::fabs(x[i]);
    SetDoubles(pass.x, x);
    fixture.Forward(pass);
    const auto figures = FiguresOf(fixture, pass.sums());
    const Expected expected = ByDefinition(fixture, pass);
    const double tolerance = dtype == DType::kF64 ? 1e-13 : 1e-6;
    EXPECT_NEAR(figures.at("route_cosine"), expected.cosine, tolerance);
    EXPECT_NEAR(figures.at("route_cosine_max"), expected.largest, tolerance);
    EXPECT_NEAR(figures.at("capacity_floor"), expected.floor, 100 * tolerance * expected.floor);
  }
}

// Measuring changes nothing else, and costs no sums where it is off.
TEST_P(RouteAnglesTest, ChangeNothing) {
  RouterOptions options = Measured(GetParam());
  RouterFixture measured(options, DType::kF32);
  options.measure_angles = false;
  RouterFixture plain(options, DType::kF32);
  const RouterPass a = measured.NormalPass(3 * kLength, kLength, 5);
  const RouterPass b = plain.NormalPass(3 * kLength, kLength, 5);
  EXPECT_EQ(a.ids(), b.ids());
  EXPECT_TRUE(SameBits(a.gates(), b.gates()));
  EXPECT_GT(a.sums().size(), b.sums().size());
  EXPECT_TRUE(plain.router().Figures(b.sums()).empty());
}

TEST_P(RouteAnglesTest, AddUpOverAnyCut) {
  RouterFixture fixture(Measured(GetParam()), DType::kF64);
  const RouterPass whole = fixture.NormalPass(6 * kLength, kLength, 7);
  const auto x = ToDoubles(whole.x);
  std::vector<double> sums(whole.sums().size(), 0.0);
  for (const auto& [begin, end] :
       std::vector<std::pair<int64_t, int64_t>>{{0, 1}, {1, 1}, {1, 6}}) {
    const std::vector<double> part(x.begin() + begin * kLength * kHidden,
                                   x.begin() + end * kLength * kHidden);
    const RouterPass pass = fixture.MakePass(part, kLength, begin * kLength);
    fixture.Forward(pass);
    const auto added = pass.sums();
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += added[i];
  }
  const auto expected = FiguresOf(fixture, whole.sums());
  const auto figures = FiguresOf(fixture, sums);
  ASSERT_EQ(figures.size(), expected.size());
  ASSERT_GE(figures.size(), 3u);
  for (const auto& [name, value] : expected) {
    EXPECT_NEAR(figures.at(name), value, 1e-12 * std::fabs(value)) << name;
  }
}

TEST_P(RouteAnglesTest, AreNotThereWithoutTokens) {
  RouterFixture fixture(Measured(GetParam()), DType::kF64);
  const RouterPass pass = fixture.MakePass({}, kLength);
  fixture.Forward(pass);
  for (const double sum : pass.sums()) EXPECT_EQ(sum, 0.0);
  EXPECT_TRUE(fixture.router().Figures(pass.sums()).empty());
}

INSTANTIATE_TEST_SUITE_P(All, RouteAnglesTest,
                         ::testing::Values("top_k", "grap", "token_resonance", "aux_free_bias",
                                           "expert_choice", "sinkhorn", "entropy_adaptive"),
                         [](const auto& info) { return std::string(info.param); });

TEST(RouteAnglesTest, OfLprAreItsSimilarities) {
  RouterOptions options = Measured("lpr");
  options.settings = LprSettings("GEOMETRIC");
  RouterFixture fixture(options, DType::kF64);
  const RouterPass pass = fixture.NormalPass(2 * kLength, kLength, 2);
  const auto figures = FiguresOf(fixture, pass.sums());
  EXPECT_GT(figures.at("route_cosine"), 0.0);
  EXPECT_LT(figures.at("route_cosine"), figures.at("route_cosine_max"));
  EXPECT_LE(figures.at("route_cosine_max"), 1.0);
  // Only cosines are angles.
  options.settings = LprSettings("LEAN");
  options.settings.Set("similarity", std::string("GAUSSIAN"));
  RouterFixture gaussian(options, DType::kF64);
  EXPECT_TRUE(gaussian.router().Figures(gaussian.NormalPass(kLength, kLength, 2).sums()).empty());
}

// With noise on x the angles are those of the noisy x, which the logits are made of: for blocks of
// features the logits themselves.
TEST(RouteAnglesTest, AreOfWhatTheRouterReads) {
  for (const bool quota : {false, true}) {
    RouterOptions options = Measured("top_k");
    options.settings.Set("jitter", 0.5);
    if (quota) {
      options.top_k = 1;
      options.locality.num_nodes = 2;
      options.locality.quota.outgoing_share = 1.0 - 1e-9;
    }
    RouterFixture fixture(options, DType::kF64);
    // Tokens along the first expert's row: without noise all cosines are 1.
    const auto direction = DirectionOf(fixture, 0);
    std::vector<double> x;
    for (int64_t t = 0; t < 8 * kLength; ++t) x.insert(x.end(), direction.begin(), direction.end());
    const RouterPass pass = fixture.MakePass(x, kLength);
    fixture.Forward(pass);
    const auto figures = FiguresOf(fixture, pass.sums());
    EXPECT_LE(figures.at("route_cosine_max"), 1.0);
    RouterOptions still = options;
    still.settings.Set("jitter", 0.0);
    RouterFixture quiet(still, DType::kF64);
    const RouterPass same = quiet.MakePass(x, kLength);
    quiet.Forward(same);
    EXPECT_LT(figures.at("route_cosine"), FiguresOf(quiet, same.sums()).at("route_cosine"));
  }
}

class CapacityLimitTest : public ::testing::TestWithParam<const char*> {
 protected:
  static RouterOptions Options(double factor, double floor) {
    RouterOptions options = Measured(GetParam());
    if (options.kind == "token_resonance") {
      options.settings.Set("capacity_factor", factor);
      options.capacity.floor = floor;
    } else {
      options.capacity = {factor, floor};
    }
    return options;
  }
  static std::vector<double> Loads(const RouterPass& pass, int64_t sequence) {
    std::vector<double> loads(kExperts, 0.0);
    const auto ids = pass.ids();
    const auto copies = static_cast<int64_t>(ids.size()) / pass.num_tokens();
    for (int64_t i = sequence * kLength * copies; i < (sequence + 1) * kLength * copies; ++i) {
      const int32_t id = ids[static_cast<size_t>(i)];
      if (id >= 0) loads[static_cast<size_t>(id)] += 1.0;
    }
    return loads;
  }
};

TEST_P(CapacityLimitTest, NeverFallsBelowTheFloor) {
  RouterFixture free(Options(0.5, 0.0), DType::kF64);
  const RouterPass low = free.NormalPass(3 * kLength, kLength, 4);
  const auto plain = FiguresOf(free, low.sums());
  EXPECT_EQ(plain.at("capacity"), 7.0);  // ceil(35 * 2 / 5 / 2)
  // A safety that lifts it to about eleven.
  const double safety = 11.0 / plain.at("capacity_floor");
  RouterFixture bound(Options(0.5, safety), DType::kF64);
  const RouterPass lifted = bound.NormalPass(3 * kLength, kLength, 4);
  const auto figures = FiguresOf(bound, lifted.sums());
  EXPECT_EQ(figures.at("capacity_floor"), plain.at("capacity_floor"));
  EXPECT_GE(figures.at("capacity"), safety * figures.at("capacity_floor"));
  EXPECT_LE(figures.at("capacity"), safety * figures.at("capacity_floor") + 1.0);
  const size_t dropped = kExperts;
  EXPECT_LT(lifted.sums()[dropped], low.sums()[dropped]);
  EXPECT_GT(lifted.sums()[dropped], 0.0);
  double most = 0.0;
  for (int64_t sequence = 0; sequence < 3; ++sequence) {
    for (const double load : Loads(lifted, sequence)) most = std::max(most, load);
  }
  EXPECT_GT(most, 7.0);
  EXPECT_LE(most, std::ceil(figures.at("capacity")) + 2.0);
  // What is chosen and not dropped is sent.
  double sent = 0.0;
  for (const int32_t id : lifted.ids()) sent += id >= 0 ? 1.0 : 0.0;
  double chosen = 0.0;
  for (int e = 0; e < kExperts; ++e) chosen += lifted.sums()[static_cast<size_t>(e)];
  EXPECT_EQ(chosen, 3.0 * kLength * kTopK);
  EXPECT_EQ(sent, chosen - lifted.sums()[dropped]);
}

TEST_P(CapacityLimitTest, AHugeFloorDropsNothing) {
  RouterFixture fixture(Options(0.1, 1e6), DType::kF32);
  const RouterPass pass = fixture.NormalPass(2 * kLength, kLength, 4);
  EXPECT_EQ(pass.sums()[kExperts], 0.0);
  EXPECT_EQ(FiguresOf(fixture, pass.sums()).at("capacity"), double{kLength});
}

INSTANTIATE_TEST_SUITE_P(All, CapacityLimitTest,
                         ::testing::Values("top_k", "grap", "token_resonance", "aux_free_bias"),
                         [](const auto& info) { return std::string(info.param); });

// The angles are what tokens ask for, a preference for home does not change them; what experts
// turn down counts as chosen and dropped.
TEST(TokenResonanceTest, TellsWhatExpertsTurnDown) {
  RouterOptions options = Measured("token_resonance");
  RouterFixture all(options, DType::kF64);
  options.settings.Set("capacity_factor", 0.5);
  RouterFixture few(options, DType::kF64);
  options.locality.num_nodes = 2;
  options.locality.bias = {LocalityBiasMode::kFixed, 1e-12};
  RouterFixture biased(options, DType::kF64);
  const RouterPass asked = all.NormalPass(2 * kLength, kLength, 6);
  const RouterPass kept = few.NormalPass(2 * kLength, kLength, 6);
  const auto a = asked.sums();
  const auto b = kept.sums();
  for (size_t e = 0; e < kExperts; ++e) EXPECT_EQ(a[e], b[e]) << e;
  EXPECT_EQ(a[kExperts], 0.0);
  double sent = 0.0;
  for (const int32_t id : kept.ids()) sent += id >= 0 ? 1.0 : 0.0;
  EXPECT_EQ(b[kExperts], 2.0 * kLength * kTopK - sent);
  EXPECT_GT(b[kExperts], 0.0);
  const auto figures = FiguresOf(few, b);
  EXPECT_NEAR(figures.at("route_cosine"), FiguresOf(all, a).at("route_cosine"), 1e-14);
  const RouterPass home = biased.NormalPass(2 * kLength, kLength, 6);
  EXPECT_NEAR(FiguresOf(biased, home.sums()).at("route_cosine"), figures.at("route_cosine"), 1e-14);
}

TEST(CapacityFloorOptionTest, IsRefusedWithoutCapacityOrAngles) {
  const auto refused = [](const std::string& kind, double factor, double floor) {
    RouterOptions options = OptionsOf(kind, kHidden, kExperts, kTopK);
    options.capacity = {factor, floor};
    ParameterRegistry parameters;
    return std::string(MakeRouter(options, parameters).status().message());
  };
  for (const char* kind : {"top_k", "hash", "expert_choice", "grap"}) {
    EXPECT_NE(refused(kind, 0.0, 1.0).find("moe.capacity_floor has no effect"), std::string::npos)
        << kind;
    EXPECT_EQ(refused(kind, 0.0, 0.0), "") << kind;
  }
  EXPECT_NE(refused("hash", 1.0, 1.0).find("moe.capacity_floor"), std::string::npos);
  EXPECT_EQ(refused("token_resonance", 0.0, 1.0), "");
  EXPECT_EQ(refused("top_k", 1.0, 1.0), "");
  EXPECT_NE(refused("top_k", 1.0, -1.0).find("capacity.floor is -1"), std::string::npos);
}

}  // namespace
}  // namespace equipoise::routing
