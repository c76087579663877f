// The sinks besides router.bin: TensorBoard, Prometheus, events; and what they have in common.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "core/io/in_memory_file_system.h"
#include "core/telemetry/event_log.h"
#include "core/telemetry/prometheus_writer.h"
#include "core/telemetry/step_sink.h"
#include "core/telemetry/tensorboard_writer.h"
#include "core/telemetry/tf_record.h"
#include "tests/core/telemetry/sample_record.h"

namespace equipoise {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(TfRecordTest, ChecksumsAreThoseOfTheStandard) {
  EXPECT_EQ(Crc32c(""), 0U);
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283U);            // the polynomial's check value
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aaU);  // RFC 3720, B.4
}

TEST(TfRecordTest, RecordsComeBackAndDamageEndsTheFile) {
  const std::string file = FrameTfRecord("first") + FrameTfRecord("") + FrameTfRecord("third");
  std::string_view rest = file;
  EXPECT_EQ(NextTfRecord(rest), "first");
  EXPECT_EQ(NextTfRecord(rest), "");
  EXPECT_EQ(NextTfRecord(rest), "third");
  EXPECT_FALSE(NextTfRecord(rest).has_value());
  for (size_t i = 0; i < 21; ++i) {
    std::string damaged = file;
    damaged[i] = static_cast<char>(damaged[i] ^ 4);
    rest = damaged;
    EXPECT_FALSE(NextTfRecord(rest).has_value()) << i;
    rest = std::string_view(file).substr(0, i);
    EXPECT_FALSE(NextTfRecord(rest).has_value()) << i;
  }
}

class SinksTest : public ::testing::Test {
 protected:
  TensorboardWriter::Options Tensorboard(int64_t resumed_step) {
    return {"/run/tb", resumed_step, "host", [this] { return now_; }};
  }
  // The steps of all event files, in the order of their names.
  std::vector<int64_t> TensorboardSteps() {
    std::vector<int64_t> steps;
    const std::vector<std::string> names = *disk_.List("/run/tb");
    for (const std::string& name : names) {
      const auto view = *disk_.Map(JoinPath("/run/tb", name));
      std::string_view rest = view->text();
      while (const auto event = NextTfRecord(rest)) steps.push_back(StepOfEvent(*event));
      EXPECT_TRUE(rest.empty());
    }
    return steps;
  }

  InMemoryFileSystem disk_;
  absl::Time now_ = absl::FromUnixSeconds(1700000000);
};

TEST_F(SinksTest, TensorboardHasEveryStepOnceAfterAResume) {
  {
    auto sink = *TensorboardWriter::Open(disk_, Tensorboard(-1));
    for (int64_t step = 1; step <= 5; ++step) ASSERT_TRUE(sink->Write(SampleRecord(step)).ok());
  }
  now_ += absl::Seconds(9);
  auto sink = *TensorboardWriter::Open(disk_, Tensorboard(3));
  ASSERT_TRUE(sink->Write(SampleRecord(4)).ok());
  EXPECT_THAT(TensorboardSteps(), ElementsAre(0, 1, 2, 3, 0, 4));  // 0: what a file begins with
  EXPECT_EQ(disk_.List("/run/tb")->size(), 2U);
  sink = *TensorboardWriter::Open(disk_, Tensorboard(-1));
  EXPECT_THAT(TensorboardSteps(), ElementsAre(0));
}

TEST_F(SinksTest, PrometheusFileIsWholeAndNotWrittenTooOften) {
  PrometheusWriter::Options options;
  options.directory = "/run/prom";
  options.run = "a\"b";
  options.now = [this] { return now_; };
  auto sink = *PrometheusWriter::Open(disk_, options);
  ValidationRecord validation;
  validation.loss = 2.75;
  ASSERT_TRUE(sink->WriteValidation(0, 0, validation).ok());
  const auto text = [&] {
    return std::string((*disk_.Map("/run/prom/equipoise_a\"b.prom"))->text());
  };
  StepRecord record = SampleRecord(1);
  record.gradient_norm = std::nan("");
  ASSERT_TRUE(sink->Write(record).ok());
  EXPECT_THAT(text(),
              HasSubstr("# TYPE equipoise_loss gauge\nequipoise_loss{run=\"a\\\"b\"} 4.5\n"));
  EXPECT_THAT(text(), HasSubstr("equipoise_gradient_norm{run=\"a\\\"b\"} NaN\n"));
  EXPECT_THAT(text(), HasSubstr("equipoise_validation_loss{run=\"a\\\"b\"} 2.75\n"));
  EXPECT_THAT(text(), HasSubstr("equipoise_time_seconds{run=\"a\\\"b\",phase=\"experts\"} 0.06"));
  now_ += absl::Seconds(1);
  ASSERT_TRUE(sink->Write(SampleRecord(2)).ok());
  EXPECT_THAT(text(), HasSubstr("equipoise_step{run=\"a\\\"b\"} 1\n"));
  now_ += absl::Seconds(5);
  // Every line is a comment or a sample of the family whose comment came last.
  ASSERT_TRUE(sink->Write(SampleRecord(3)).ok());
  std::string family;
  const std::vector<std::string> lines = absl::StrSplit(text(), '\n', absl::SkipEmpty());
  for (const std::string& line : lines) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    if (words[0] == "#") {
      family = words[2];
    } else {
      EXPECT_EQ(words[0].substr(0, words[0].find('{')), family);
    }
  }
  EXPECT_THAT(text(), HasSubstr("equipoise_step{run=\"a\\\"b\"} 3\n"));
  // The end of the run is not kept back.
  ASSERT_TRUE(sink->Finish().ok());
  EXPECT_THAT(text(), HasSubstr("equipoise_step{run=\"a\\\"b\"} 3\n"));
  now_ += absl::Seconds(1);
  ASSERT_TRUE(sink->Write(SampleRecord(4)).ok());
  EXPECT_THAT(text(), HasSubstr("equipoise_step{run=\"a\\\"b\"} 3\n"));
  ASSERT_TRUE(sink->Finish().ok());
  EXPECT_THAT(text(), HasSubstr("equipoise_step{run=\"a\\\"b\"} 4\n"));
  EXPECT_EQ(disk_.List("/run/prom")->size(), 1U);
}

TEST_F(SinksTest, EventsAreAppendedAndATornOneGoes) {
  ASSERT_TRUE(disk_.CreateDirectories("/run").ok());
  {
    auto events = *EventLog::Open(disk_, "/run");
    ASSERT_TRUE(events.Write(RunEvent::kStart, now_, 0, "").ok());
    ASSERT_TRUE(events.Write(RunEvent::kWarning, now_, 7, "a \"word\"\xff").ok());
  }
  ASSERT_TRUE((*disk_.OpenAppend("/run/events.jsonl"))->Append("{\"time\":").ok());
  ASSERT_TRUE(EventLog::Open(disk_, "/run")->Write(RunEvent::kEnd, now_, 9, "x").ok());
  const std::string text((*disk_.Map("/run/events.jsonl"))->text());
  std::vector<std::string> events;
  const std::vector<std::string> lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
  for (const std::string& line : lines) {
    const auto row = nlohmann::json::parse(line);
    EXPECT_EQ(row["time"], "2023-11-14T22:13:20Z");
    events.push_back(absl::StrCat(row["event"].get<std::string>(), row["step"].get<int>()));
  }
  EXPECT_THAT(events, ElementsAre("start0", "warning7", "end9"));
}

class FailingSink final : public StepSink {
 public:
  absl::Status Write(const StepRecord&) override { return absl::UnavailableError("no disk"); }
  absl::Status WriteValidation(int64_t, int64_t, const ValidationRecord&) override {
    return absl::UnavailableError("no disk");
  }
};

class CountingSink final : public StepSink {
 public:
  explicit CountingSink(int* count) : count_(*count) {}
  absl::Status Write(const StepRecord&) override { return ++count_, absl::OkStatus(); }
  absl::Status WriteValidation(int64_t, int64_t, const ValidationRecord&) override {
    return ++count_, absl::OkStatus();
  }

 private:
  int& count_;
};

TEST_F(SinksTest, AFailingSinkWarnsOnceAndLeavesTheOthersAlone) {
  std::vector<std::string> warnings;
  StepSinks sinks([&](const std::string& text) { warnings.push_back(text); });
  int count = 0;
  sinks.Add("a.bin", absl::PermissionDeniedError("locked"));
  sinks.Add("b.bin", std::unique_ptr<StepSink>(new FailingSink));
  sinks.Add("c.bin", std::unique_ptr<StepSink>(new CountingSink(&count)));
  for (int64_t step = 1; step <= 3; ++step) sinks.Write(SampleRecord(step));
  sinks.WriteValidation(3, 0, ValidationRecord());
  EXPECT_EQ(count, 4);
  EXPECT_EQ(sinks.num_lost(), 4);
  EXPECT_THAT(warnings, ElementsAre("no a.bin of this run; training goes on: locked",
                                    "b.bin loses steps until this is mended; training goes on: "
                                    "no disk"));
}

}  // namespace
}  // namespace equipoise
