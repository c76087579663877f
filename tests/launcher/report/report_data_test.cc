// What a report is made from: downsampled series, rows of metrics.jsonl, a run's files.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "core/telemetry/metrics_writer.h"
#include "launcher/report/metrics_reader.h"
#include "launcher/report/run_history.h"
#include "launcher/report/series.h"
#include "tests/core/telemetry/sample_record.h"

namespace equipoise::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

TEST(SeriesTest, ShortSeriesAreExact) {
  Series series;
  for (int64_t step = 1; step <= 7; ++step) series.Add(step, static_cast<double>(step * step));
  const std::vector<CurvePoint> points = series.Points();
  ASSERT_EQ(points.size(), 7U);
  for (size_t i = 0; i < 7; ++i) {
    EXPECT_EQ(points[i].x, static_cast<double>(i + 1));
    EXPECT_EQ(points[i].y, static_cast<double>((i + 1) * (i + 1)));
    EXPECT_EQ(points[i].low, points[i].high);
  }
  EXPECT_EQ(series.last(), 49.0);
  EXPECT_EQ(series.mean(), 20.0);
}

TEST(SeriesTest, WhatIsNotFiniteIsAGap) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  Series series;
  series.Add(1, nan);
  EXPECT_TRUE(series.empty());
  series.Add(2, 5.0);
  EXPECT_TRUE(series.ends_finite());
  series.Add(3, -std::numeric_limits<double>::infinity());
  series.Add(4, 7.0);
  series.Add(5, nan);
  EXPECT_EQ(series.last(), 7.0);
  EXPECT_FALSE(series.ends_finite());
  EXPECT_EQ(series.mean(), 6.0);
  const std::vector<CurvePoint> points = series.Points();
  ASSERT_EQ(points.size(), 5U);
  for (size_t i = 0; i < points.size(); ++i) {
    EXPECT_EQ(points[i].x, static_cast<double>(i + 1));
    EXPECT_EQ(std::isfinite(points[i].y), i % 2 == 1) << i;
  }
  // A bucket with any number has no gap, and its extremes are of numbers.
  for (int64_t step = 6; step <= 4000; ++step) series.Add(step, step % 3 == 0 ? nan : 9.0);
  for (const CurvePoint& point : series.Points()) {
    EXPECT_GE(point.low, 5.0);
    EXPECT_LE(point.high, 9.0);
    EXPECT_LE(point.x, 4000.0);
  }
}

TEST(SeriesTest, LongSeriesKeepExtremesAndMeans) {
  constexpr int64_t kSteps = 100003;
  Series series;
  double sum = 0.0;
  for (int64_t step = 1; step <= kSteps; ++step) {
    double value = std::sin(0.01 * static_cast<double>(step));
    if (step == 77777) value = 50.0;
    if (step == 88888) value = -60.0;
    sum += value;
    series.Add(step, value);
  }
  series.Add(kSteps + 1, std::numeric_limits<double>::quiet_NaN());
  const std::vector<CurvePoint> points = series.Points();
  EXPECT_LE(points.size(), Series::kMaxBuckets);
  EXPECT_GE(points.size(), Series::kMaxBuckets / 2 - 1);
  EXPECT_NEAR(series.mean(), sum / kSteps, 1e-9);
  int spikes = 0;
  for (const CurvePoint& point : points) {
    EXPECT_LE(point.low, point.y);
    EXPECT_GE(point.high, point.y);
    const double half = static_cast<double>(series.steps_per_bucket()) / 2;
    if (point.high == 50.0) spikes += std::abs(point.x - 77777) <= half ? 1 : 100;
    if (point.low == -60.0) spikes += std::abs(point.x - 88888) <= half ? 1 : 100;
  }
  EXPECT_EQ(spikes, 2) << "each where it was";
}

TEST(LoadGridTest, BucketsAreSumsAndExtremesAreOfSingleSteps) {
  LoadGrid grid;
  const std::vector<int64_t> even = {10, 10, 10, 10};
  const std::vector<int64_t> uneven = {40, 0, 0, 0};
  for (int64_t step = 5; step < 5 + 1000; ++step) grid.Add(step, step == 700 ? uneven : even);
  EXPECT_EQ(grid.num_experts(), 4);
  EXPECT_EQ(grid.steps_per_bucket(), 8);
  EXPECT_EQ(grid.num_buckets(), 125);
  EXPECT_EQ(grid.greatest().ratio, 4.0);
  EXPECT_EQ(grid.greatest().step, 700);
  EXPECT_EQ(grid.greatest().expert, 0);
  EXPECT_EQ(grid.least().ratio, 0.0);
  const std::vector<double> ratios = grid.Ratios();
  const size_t bucket = (700 - 5) / 8;
  EXPECT_DOUBLE_EQ(ratios[bucket], (7 * 10 + 40) * 4 / (8.0 * 40));
  EXPECT_DOUBLE_EQ(ratios[125 + bucket], 7 * 10 * 4 / (8.0 * 40));
  EXPECT_DOUBLE_EQ(ratios[0], 1.0);
}

class MetricsReaderTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& text) {
    const std::string path = std::string(std::getenv("TEST_TMPDIR")) + "/metrics.jsonl";
    std::ofstream(path) << text;
    return path;
  }
};

TEST_F(MetricsReaderTest, RowsHoldTheNumbersOfTheRecord) {
  StepRecord record = SampleRecord(3);
  record.validation = ValidationRecord{3.125, 1.5, {{"a \"b\"", 3.0, 1.25}, {"c", 3.5, {}}}, {}};
  ValidationLayerRecord held_out;
  held_out.layer = 1;
  held_out.counts = {4, 5};
  held_out.domain_counts = {{3, 1}, {1, 4}};
  record.validation->layers = {held_out};
  const std::string path = Write(StepRecordToJson(record) + "\n");
  int visits = 0;
  const auto result = MetricsReader().Read(path, {}, [&](const MetricsRow& row) {
    ++visits;
    EXPECT_EQ(row.step, 3);
    EXPECT_EQ(row.tokens, 3 * 4096.0);
    EXPECT_EQ(row.loss, record.loss);
    EXPECT_EQ(row.cross_entropy, record.cross_entropy);
    EXPECT_EQ(row.mfu, *record.mfu);
    EXPECT_EQ(row.time[static_cast<size_t>(Phase::kExperts)], record.time[Phase::kExperts]);
    EXPECT_EQ(row.link_seconds, record.link_seconds);
    ASSERT_EQ(row.layers.size(), 2U);
    EXPECT_EQ(row.layers[1].layer, 2);
    EXPECT_EQ(row.layers[1].counts, record.layers[1].counts);
    EXPECT_EQ(row.layers[1].rank_loads, record.layers[1].rank_loads);
    EXPECT_EQ(row.layers[1].gini, record.layers[1].gini);
    EXPECT_TRUE(std::isnan(row.layers[1].floor_min_max)) << "absent";
    EXPECT_EQ(row.validation.loss, 3.125);
    EXPECT_THAT(row.validation.domain_losses, ElementsAre(Pair("a \"b\"", 3.0), Pair("c", 3.5)));
    ASSERT_EQ(row.validation.layers.size(), 1U);
    EXPECT_THAT(row.validation.layers[0].domain_counts,
                ElementsAre(Pair("a \"b\"", ElementsAre(3, 1)), Pair("c", ElementsAre(1, 4))));
  });
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(visits, 1);
  EXPECT_EQ(result->num_skipped, 0);
}

TEST_F(MetricsReaderTest, DamagedLinesAreCountedAndOthersRead) {
  StepRecord no_number = SampleRecord(2);
  no_number.loss = std::nan("");
  const std::string good = StepRecordToJson(SampleRecord(1));
  const std::string path = Write(good + "\n{\"step\":1,\"loss\":}\nnonsense\n" +
                                 StepRecordToJson(no_number) + "\n" + good.substr(0, 50));
  std::vector<double> losses;
  const auto result =
      MetricsReader().Read(path, {}, [&](const MetricsRow& row) { losses.push_back(row.loss); });
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->num_rows, 2);
  EXPECT_EQ(result->num_skipped, 3);
  ASSERT_EQ(losses.size(), 2U);
  EXPECT_EQ(losses[0], 4.5);
  EXPECT_TRUE(std::isnan(losses[1]));
}

TEST_F(MetricsReaderTest, GoesOnWhereItEnded) {
  std::string text;
  for (int64_t step = 1; step <= 3; ++step) text += StepRecordToJson(SampleRecord(step)) + "\n";
  const std::string path = Write(text + "{\"step\":4");
  const auto first = MetricsReader().Read(path, {}, [](const MetricsRow&) {});
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->end_byte, text.size());
  Write(text + StepRecordToJson(SampleRecord(4)) + "\n");
  for (const uint64_t from : {first->end_byte, first->end_byte - 1, uint64_t{1}}) {
    MetricsReaderOptions options;
    options.from_byte = from;
    std::vector<int64_t> steps;
    ASSERT_TRUE(MetricsReader()
                    .Read(path, options, [&](const MetricsRow& row) { steps.push_back(row.step); })
                    .ok());
    EXPECT_EQ(steps.size(), from == 1 ? 3U : 1U) << from;
    EXPECT_EQ(steps.back(), 4);
  }
}

TEST_F(MetricsReaderTest, ALineLongerThanTheBufferIsRead) {
  StepRecord record = SampleRecord(1, /*num_layers=*/20, /*num_experts=*/100000);
  const std::string line = StepRecordToJson(record);
  ASSERT_GT(line.size(), size_t{6} << 20);
  const std::string path = Write(line + "\n" + line + "\n");
  int64_t copies = 0;
  const auto result = MetricsReader().Read(path, {}, [&](const MetricsRow& row) {
    for (const int64_t count : row.layers[19].counts) copies += count;
  });
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->num_rows, 2);
  int64_t expected = 0;
  for (const int64_t count : record.layers[19].counts) expected += 2 * count;
  EXPECT_EQ(copies, expected);
}

TEST(CountWindowTest, HoldsTheSumOfTheLastSteps) {
  CountWindow window(3);
  for (int64_t step = 1; step <= 5; ++step) {
    window.Add(std::vector<int64_t>{step, 10 * step});
  }
  EXPECT_THAT(window.sums(), ElementsAre(3 + 4 + 5, 120));
  EXPECT_EQ(window.num_steps(), 3);
}

TEST(FlattenConfigTest, FieldsGetTheirPaths) {
  EXPECT_THAT(FlattenConfig("steps: 30\n# a comment\nmoe {\n  top_k: 2\n  router {\n    lpr {\n"
                            "    }\n  }\n}\ndata {\n  domain {\n    name: \"a\"\n  }\n"
                            "  domain {\n    name: \"b\"\n    train: \"x\"\n    train: \"y\"\n"
                            "  }\n}\n}\n"),
              ElementsAre(Pair("data.domain.name", "\"a\""), Pair("data.domain[1].name", "\"b\""),
                          Pair("data.domain[1].train", "\"x\", \"y\""), Pair("moe.top_k", "2"),
                          Pair("steps", "30")));
}

}  // namespace
}  // namespace equipoise::launcher
