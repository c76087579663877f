#include "core/telemetry/console.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace equipoise {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

StepRecord Sample() {
  StepRecord record;
  record.step = 1200;
  record.loss = 3.41214;
  record.learning_rate = 6e-4;
  record.gradient_norm = 0.8249;
  record.tokens_per_second = 41234.0;
  record.step_seconds = 0.2;
  record.time[Phase::kDispatch] = 0.012;
  record.time[Phase::kCombine] = 0.010;
  record.layers.resize(2);
  record.layers[0].max_over_mean = 1.05;
  record.layers[1].max_over_mean = 1.18;
  record.layers[1].dead = 3;
  record.layers[1].dropped_share = 0.01;
  return record;
}

StepRecord Widest() {
  StepRecord record = Sample();
  record.step = std::numeric_limits<int64_t>::max();
  record.loss = -1.23456789e30;
  record.gradient_norm = -1.23456e-300;
  record.tokens_per_second = 1e300;
  record.mfu = 1e20;
  record.layers[0].max_over_mean = 1e40;
  record.layers[0].dead = std::numeric_limits<int64_t>::max() / 2;
  record.validation = ValidationRecord{1e40, 1e40, {}, {}};
  return record;
}

TEST(FormatTest, StepLine) {
  EXPECT_EQ(FormatStepLine(Sample(), 20000, 3720.0),
            "step 1200/20000  loss 3.4121  gn 0.825  lr 6.0e-04  tok/s 41.2k  bal 1.18 dead 3 drop "
            "0.50%  a2a 11%  ETA 1h02m");
}

TEST(FormatTest, DenseModelsSayNothingOfBalance) {
  StepRecord record = Sample();
  record.layers.clear();
  record.mfu = 0.381;
  EXPECT_EQ(FormatStepLine(record, 20000, std::nullopt),
            "step 1200/20000  loss 3.4121  gn 0.825  lr 6.0e-04  tok/s 41.2k  MFU 38.1%");
}

TEST(FormatTest, ValidationIsOnTheLine) {
  StepRecord record = Sample();
  record.validation = ValidationRecord{3.2, 1.234567, {}, {}};
  EXPECT_THAT(FormatStepLine(record, 20000, 1.0), HasSubstr("val 3.2000 (1.235 bits/byte)"));
}

TEST(FormatTest, WhatIsNotFiniteIsSaidPlainly) {
  EXPECT_EQ(FormatLoss(3.41211), "3.4121");
  EXPECT_EQ(FormatLoss(std::nan("")), "nan (not finite)");
  EXPECT_EQ(FormatLoss(-std::nan("")), "nan (not finite)");
  EXPECT_EQ(FormatLoss(-INFINITY), "-inf (not finite)");
  StepRecord record;
  record.validation = ValidationRecord{-std::nan(""), -std::nan(""), {}, {}};
  const std::string line = FormatStepLine(record, 9, std::nullopt);
  EXPECT_THAT(line, ::testing::EndsWith("  val nan (not finite)"));
  EXPECT_EQ(FormatCount(1e30), "1.0e+30");
  EXPECT_EQ(FormatCount(-std::nan("")), "nan");
}

TEST(FormatTest, NoLineIsTooWide) {
  StepRecord record = Widest();
  EXPECT_LE(FormatStepLine(record, record.step, 1e11).size(), 160U);
  record.loss = std::nan("");
  EXPECT_LE(FormatStepLine(record, record.step, INFINITY).size(), 160U);
  for (int columns = 20; columns <= 160; ++columns) {
    EXPECT_LE(FormatProgressBar(record, record.step, 1e11, columns).size(),
              static_cast<size_t>(columns));
  }
}

TEST(FormatTest, ProgressBar) {
  StepRecord record = Sample();
  record.step = 50;
  EXPECT_THAT(FormatProgressBar(record, 100, 61.0, 60),
              StartsWith("[=====>    ]  50%  ETA 1m01s  step 50/100  loss 3.4121"));
  record.step = 100;
  EXPECT_THAT(FormatProgressBar(record, 100, 0.0, 60), StartsWith("[==========] 100%  ETA 0s"));
  EXPECT_THAT(FormatProgressBar(record, 0, std::nullopt, 60),
              StartsWith("[>         ]   0%  step"));
}

TEST(FormatTest, Counts) {
  EXPECT_EQ(FormatCount(0.0), "0");
  EXPECT_EQ(FormatCount(950.4), "950");
  EXPECT_EQ(FormatCount(999.96), "1.0k");
  EXPECT_EQ(FormatCount(41234.0), "41.2k");
  EXPECT_EQ(FormatCount(999960.0), "1.0M");
  EXPECT_EQ(FormatCount(1.5e6), "1.5M");
  EXPECT_EQ(FormatCount(2.5e9), "2.5G");
}

TEST(FormatTest, Durations) {
  EXPECT_EQ(FormatDuration(0.4), "0s");
  EXPECT_EQ(FormatDuration(59.6), "1m00s");
  EXPECT_EQ(FormatDuration(185.0), "3m05s");
  EXPECT_EQ(FormatDuration(3720.0), "1h02m");
  EXPECT_EQ(FormatDuration(2 * 86400 + 3 * 3600 + 5), "2d03h");
  EXPECT_EQ(FormatDuration(-1.0), "?");
  EXPECT_EQ(FormatDuration(INFINITY), "?");
  EXPECT_EQ(FormatDuration(std::nan("")), "?");
}

class ConsoleTest : public ::testing::Test {
 protected:
  ~ConsoleTest() override { std::fclose(out_); }

  // What a console showed of steps 1 to `steps`.
  std::string Run(ConsoleOptions options, int64_t steps) {
    options.out = out_;
    options.total_steps = steps;
    {
      Console console(options);
      for (int64_t step = 1; step <= steps; ++step) {
        StepRecord record = Sample();
        record.step = step;
        if (step == 3) record.validation = ValidationRecord{3.2, 1.2, {}, {}};
        console.Show(record);
      }
    }
    std::rewind(out_);
    std::string text(100000, '\0');
    text.resize(std::fread(text.data(), 1, text.size(), out_));
    return text;
  }

  static int CountLines(const std::string& text) {
    int lines = 0;
    for (const char c : text) lines += c == '\n' ? 1 : 0;
    return lines;
  }

  std::FILE* out_ = std::tmpfile();
};

TEST_F(ConsoleTest, PlainLinesWhereThereIsNoTerminal) {
  const std::string text = Run({}, 7);
  EXPECT_EQ(CountLines(text), 7);
  EXPECT_THAT(text, Not(HasSubstr("\r")));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

TEST_F(ConsoleTest, PlainLinesAreLimited) {
  ConsoleOptions options;
  options.every_steps = 10;
  const std::string text = Run(options, 25);
  // The first, the one with a validation, 10, 20 and the last.
  EXPECT_EQ(CountLines(text), 5) << text;
  EXPECT_THAT(text, HasSubstr("step 25/25"));
}

TEST_F(ConsoleTest, ABarRewritesItsLine) {
  ConsoleOptions options;
  options.progress_bar = true;
  options.columns = 60;
  const std::string text = Run(options, 7);
  // The validation's line, and the end of the bar's.
  EXPECT_EQ(CountLines(text), 2);
  EXPECT_THAT(text, HasSubstr("\r\x1b[2K[=>       ]  14%  step 1/7"));
  EXPECT_EQ(text.back(), '\n');
}

TEST(ConsoleEtaTest, IsTheStepsLeftAtTheirPace) {
  ConsoleOptions options;
  options.total_steps = 100;
  Console console(options);
  StepRecord record = Sample();
  record.step = 1;
  record.step_seconds = 50.0;  // the first step's pace is no measure
  console.Show(record);
  EXPECT_FALSE(console.eta_seconds().has_value());
  record.step_seconds = 2.0;
  for (record.step = 2; record.step <= 10; ++record.step) console.Show(record);
  EXPECT_NEAR(*console.eta_seconds(), 90 * 2.0, 1e-9);
  record.step = 100;
  console.Show(record);
  EXPECT_EQ(*console.eta_seconds(), 0.0);
}

}  // namespace
}  // namespace equipoise
