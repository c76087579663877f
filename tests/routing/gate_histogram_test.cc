#include "routing/gate_histogram.h"

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "core/base/rng.h"
#include "gtest/gtest.h"

namespace equipoise::routing {
namespace {

// By comparing with every edge.
int BinBySearch(double gate) {
  int bin = 0;
  while (bin + 1 < kNumGateBins && gate >= GateBinEdge(bin + 1)) ++bin;
  return bin;
}

TEST(GateHistogramTest, EdgesRiseByQuartersOfADoubling) {
  EXPECT_EQ(kNumGateBins, 42);
  EXPECT_EQ(GateBinEdge(0), 0.0);
  EXPECT_EQ(GateBinEdge(1), 1.0 / 256);
  EXPECT_EQ(GateBinEdge(2), 1.25 / 256);
  EXPECT_EQ(GateBinEdge(5), 1.0 / 128);
  EXPECT_EQ(GateBinEdge(33), 1.0);
  EXPECT_EQ(GateBinEdge(34), 1.25);
  EXPECT_EQ(GateBinEdge(kNumGateBins - 1), 4.0);
}

TEST(GateHistogramTest, EveryGateIsInTheBinOfItsEdges) {
  for (int bin = 1; bin < kNumGateBins; ++bin) {
    const auto edge = static_cast<float>(GateBinEdge(bin));
    EXPECT_EQ(GateBin(edge), bin);
    EXPECT_EQ(GateBin(std::nextafter(edge, 0.0F)), edge == 1.0F ? bin : bin - 1);
  }
  const Philox random(StreamKey(3, "gates"));
  for (uint64_t i = 0; i < 20000; ++i) {
    const auto gate = static_cast<float>(std::exp2(14.0 * random.Uniform(i) - 10.0));
    ASSERT_EQ(GateBin(gate), BinBySearch(gate)) << gate;
  }
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(GateBin(0.0F), 0);
  EXPECT_EQ(GateBin(std::nextafter(1.0F, 0.0F)), 33) << "1 but for rounding";
  EXPECT_EQ(GateBin(0.999999F), 32);
  EXPECT_EQ(GateBin(-0.0F), 0);
  EXPECT_EQ(GateBin(-3.0F), 0);
  EXPECT_EQ(GateBin(std::numeric_limits<float>::denorm_min()), 0);
  EXPECT_EQ(GateBin(1e30F), kNumGateBins - 1);
  EXPECT_EQ(GateBin(infinity), kNumGateBins - 1);
}

TEST(GateHistogramTest, CountsCopiesAndTokens) {
  // Three tokens of three columns: two copies, none, three.
  const std::vector<int32_t> ids = {4, 0, -1, -1, -1, -1, 1, 2, 3};
  const std::vector<double> gates = {0.5, 0.25, 0.0, 0.0, 0.0, 0.0, 0.5, 0.0, 9.0};
  std::vector<double> bins(kNumGateBins, 0.0);
  std::vector<double> copies(4, 0.0);
  CountGates<double>(ids, gates, 3, bins, copies);
  EXPECT_EQ(copies, (std::vector<double>{1, 0, 1, 1}));
  EXPECT_EQ(bins[static_cast<size_t>(GateBin(0.5F))], 2.0);
  EXPECT_EQ(bins[static_cast<size_t>(GateBin(0.25F))], 1.0);
  EXPECT_EQ(bins.front(), 1.0);  // a copy with a gate of 0 is a copy
  EXPECT_EQ(bins.back(), 1.0);
  EXPECT_EQ(std::accumulate(bins.begin(), bins.end(), 0.0), 5.0);
  // They add up, and floats are counted as doubles are.
  const std::vector<float> floats(gates.begin(), gates.end());
  CountGates<float>(ids, floats, 3, bins, copies);
  EXPECT_EQ(copies, (std::vector<double>{2, 0, 2, 2}));
  EXPECT_EQ(bins[static_cast<size_t>(GateBin(0.5F))], 4.0);
  CountGates<float>({}, {}, 3, bins, copies);
  EXPECT_EQ(copies, (std::vector<double>{2, 0, 2, 2}));
}

TEST(GateHistogramTest, QuantilesLieInTheBinOfTheirGate) {
  const Philox random(StreamKey(5, "gates"));
  std::vector<int32_t> ids(10000, 0);
  std::vector<double> gates;
  for (uint64_t i = 0; i < ids.size(); ++i) gates.push_back(random.Uniform(i));
  std::vector<double> bins(kNumGateBins, 0.0);
  std::vector<double> copies(2, 0.0);
  CountGates<double>(ids, gates, 1, bins, copies);
  for (const double share : {0.1, 0.5, 0.9}) {
    EXPECT_NEAR(GateQuantile(bins, share), share, 0.02);  // uniform: as many below as it is large
  }
  EXPECT_EQ(GateQuantile(std::vector<double>(kNumGateBins, 0.0), 0.5), 0.0);
  std::vector<double> one(kNumGateBins, 0.0);
  one[33] = 7.0;
  EXPECT_EQ(GateQuantile(one, 0.0), 1.0);
  for (const double share : {0.1, 0.5, 1.0}) EXPECT_EQ(GateQuantile(one, share), 1.0);
  one[35] = 7.0;  // gates of another scale
  EXPECT_EQ(GateQuantile(one, 0.5), 1.25);
}

}  // namespace
}  // namespace equipoise::routing
