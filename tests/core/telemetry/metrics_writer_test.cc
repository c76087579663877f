#include "core/telemetry/metrics_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "core/io/in_memory_file_system.h"
#include "core/telemetry/append_file.h"
#include "core/telemetry/step_gaps.h"

namespace equipoise {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kPath[] = "/metrics.jsonl";

StepRecord Sample(int64_t step) {
  StepRecord record;
  record.step = step;
  record.tokens_seen = step * 4096;
  record.loss = 3.5;
  record.cross_entropy = 3.25;
  record.auxiliary = {{"balance", 0.2}, {"z", 0.05}};
  record.learning_rate = 6e-4;
  record.gradient_norm = 0.82;
  record.tokens_per_second = 41234.5;
  record.step_seconds = 0.1;
  record.time[Phase::kExperts] = 0.06;
  record.time[Phase::kOther] = 0.04;
  LayerRecord layer;
  layer.layer = 1;
  layer.counts = {5, 0, (int64_t{1} << 53) + 1};
  layer.gini = 0.1;
  layer.dead = 1;
  layer.rank_loads = {3, 4};
  layer.auxiliary = {{"balance", 0.2}};
  layer.floor_cv = 0.02;
  record.layers = {layer};
  return record;
}

std::set<std::string> KeysOf(const json& object) {
  std::set<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.insert(key);
  return keys;
}

TEST(MetricsJsonTest, HasTheDocumentedKeysAndNoOthers) {
  const std::string line = StepRecordToJson(Sample(7));
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const json row = json::parse(line);
  EXPECT_EQ(KeysOf(row),
            (std::set<std::string>{"step", "tokens", "loss", "cross_entropy", "auxiliary",
                                   "learning_rate", "gradient_norm", "tokens_per_second",
                                   "step_seconds", "time", "moe"}));
  EXPECT_EQ(KeysOf(row["time"]),
            (std::set<std::string>{"data", "attention", "route", "dispatch", "experts", "combine",
                                   "gradient_sync", "optimizer", "other"}));
  ASSERT_EQ(row["moe"].size(), 1U);
  EXPECT_EQ(KeysOf(row["moe"][0]),
            (std::set<std::string>{"layer", "counts", "gini", "min_max", "max_over_mean", "cv",
                                   "entropy", "dead", "dropped_share", "floor_gini",
                                   "floor_max_over_mean", "floor_cv", "floor_entropy", "floor_dead",
                                   "rank_loads", "auxiliary"}));
}

TEST(MetricsJsonTest, ValuesAreExact) {
  const StepRecord record = Sample(7);
  const json row = json::parse(StepRecordToJson(record));
  EXPECT_EQ(row["step"], 7);
  EXPECT_EQ(row["tokens"], 7 * 4096);
  EXPECT_EQ(row["loss"].get<double>(), record.loss);
  EXPECT_EQ(row["tokens_per_second"].get<double>(), record.tokens_per_second);
  EXPECT_EQ(row["auxiliary"]["z"].get<double>(), 0.05);
  EXPECT_EQ(row["time"]["experts"].get<double>(), 0.06);
  EXPECT_EQ(row["moe"][0]["counts"].get<std::vector<int64_t>>(), record.layers[0].counts);
  EXPECT_EQ(row["moe"][0]["rank_loads"].get<std::vector<int64_t>>(), record.layers[0].rank_loads);
}

TEST(MetricsJsonTest, OptionalKeysAppearWithTheirValues) {
  StepRecord record = Sample(7);
  record.mfu = 0.4;
  record.link_seconds = {{"self", 1e-5}, {"remote", 0.005}};
  record.exchange_factors = {{"flat", 1.25}};
  record.layers[0].floor_min_max = 0.9;
  record.layers[0].router_entropy = 0.7;
  record.validation = ValidationRecord{3.1, 1.2, {{"prose", 3.0, 1.1}, {"c\"ode", 3.2, 1.3}}, {}};
  ValidationLayerRecord held_out;
  held_out.layer = 1;
  held_out.counts = {3, 5};
  held_out.gini = 0.125;
  held_out.domain_counts = {{3, 0}, {0, 5}};
  record.validation->layers.push_back(held_out);
  const json row = json::parse(StepRecordToJson(record));
  EXPECT_EQ(row["mfu"], 0.4);
  EXPECT_EQ(row["link_seconds"], (json{{"self", 1e-5}, {"remote", 0.005}}));
  EXPECT_EQ(row["exchange_factors"], (json{{"flat", 1.25}}));
  EXPECT_EQ(row["moe"][0]["floor_min_max"], 0.9);
  EXPECT_EQ(row["moe"][0]["router_entropy"], 0.7);
  EXPECT_EQ(row["validation"]["bits_per_byte"], 1.2);
  EXPECT_EQ(row["validation"]["domains"]["c\"ode"]["loss"], 3.2);
  const json& load = row["validation"]["moe"][0];
  EXPECT_EQ(load["layer"], 1);
  EXPECT_EQ(load["gini"], 0.125);
  EXPECT_EQ(load["counts"], json::parse("[3, 5]"));
  EXPECT_EQ(load["domain_counts"]["c\"ode"], json::parse("[0, 5]"));
  EXPECT_FALSE(load.contains("rank_loads"));
  const json alone = json::parse(ValidationToJson(0, 0, *record.validation));
  EXPECT_EQ(KeysOf(alone), (std::set<std::string>{"step", "tokens", "validation"}));
  EXPECT_EQ(alone["validation"], row["validation"]);
}

TEST(MetricsJsonTest, NumbersThatAreNotFiniteAreNullAndNamed) {
  StepRecord record = Sample(7);
  record.loss = std::nan("");
  record.gradient_norm = INFINITY;
  record.layers[0].gini = -INFINITY;
  record.auxiliary[0].second = std::nan("");
  const json row = json::parse(StepRecordToJson(record));
  EXPECT_TRUE(row["loss"].is_null());
  EXPECT_TRUE(row["moe"][0]["gini"].is_null());
  EXPECT_EQ(row["non_finite"], (json{{"/loss", "nan"},
                                     {"/gradient_norm", "inf"},
                                     {"/moe/0/gini", "-inf"},
                                     {"/auxiliary/balance", "nan"}}));
  for (const auto& [pointer, name] : row["non_finite"].items()) {
    EXPECT_TRUE(row[json::json_pointer(pointer)].is_null()) << pointer;
  }
}

TEST(MetricsJsonTest, NamesInNoEncodingStayValidJson) {
  StepRecord record = Sample(1);
  record.validation = ValidationRecord{3.1, 1.2, {{"\xff\xfe", 3.0, 1.1}}, {}};
  EXPECT_FALSE(json::parse(StepRecordToJson(record), nullptr, false).is_discarded());
}

class MetricsWriterTest : public ::testing::Test {
 protected:
  // A writer on the file as it is now.
  std::unique_ptr<StepSink> Open(int64_t resumed_step) {
    auto writer = MetricsWriter::Open(disk_, kPath, resumed_step);
    EXPECT_TRUE(writer.ok()) << writer.status();
    return *std::move(writer);
  }

  std::string Text() { return std::string((*disk_.Map(kPath))->text()); }

  // The steps of the file's rows, all of which must be valid JSON with an end of line.
  std::vector<int64_t> Steps() {
    std::vector<int64_t> steps;
    const std::string text = Text();
    size_t position = 0;
    while (position < text.size()) {
      const size_t end = text.find('\n', position);
      EXPECT_NE(end, std::string::npos) << "a row without an end";
      if (end == std::string::npos) break;
      steps.push_back(json::parse(text.substr(position, end - position))["step"].get<int64_t>());
      position = end + 1;
    }
    return steps;
  }

  InMemoryFileSystem disk_;
};

TEST_F(MetricsWriterTest, EveryRowIsThereWhenWriteReturns) {
  const auto writer = Open(MetricsWriter::kFreshStart);
  for (int64_t step = 1; step <= 3; ++step) {
    ASSERT_TRUE(writer->Write(Sample(step)).ok());
    EXPECT_EQ(Steps().size(), static_cast<size_t>(step));
  }
}

TEST_F(MetricsWriterTest, AResumedRunsCurveHasNoDuplicates) {
  {
    const auto writer = Open(MetricsWriter::kFreshStart);
    ASSERT_TRUE(writer->WriteValidation(0, 0, ValidationRecord{}).ok());
    for (int64_t step = 1; step <= 9; ++step) ASSERT_TRUE(writer->Write(Sample(step)).ok());
    ASSERT_TRUE(writer->WriteValidation(9, 0, ValidationRecord{}).ok());
  }
  ASSERT_TRUE(Open(5)->Write(Sample(6)).ok());
  EXPECT_THAT(Steps(), ElementsAre(0, 1, 2, 3, 4, 5, 6));
  Open(100);
  EXPECT_THAT(Steps(), ElementsAre(0, 1, 2, 3, 4, 5, 6));
  Open(0);
  EXPECT_THAT(Steps(), ElementsAre(0));
  Open(MetricsWriter::kFreshStart);
  EXPECT_THAT(Steps(), IsEmpty());
}

TEST_F(MetricsWriterTest, RowsAreSetAsideUnderAFreeName) {
  EXPECT_EQ(*SetAside(disk_, kPath), "");
  for (int64_t step = 1; step <= 2; ++step) {
    ASSERT_TRUE(Open(MetricsWriter::kFreshStart)->Write(Sample(step)).ok());
    EXPECT_EQ(*SetAside(disk_, kPath), std::string(kPath) + "." + "0123"[step]);
  }
  Open(MetricsWriter::kFreshStart);
  EXPECT_EQ(*SetAside(disk_, kPath), "") << "no rows";
  EXPECT_THAT(std::string((*disk_.Map("/metrics.jsonl.1"))->text()), HasSubstr("\"step\":1,"));
  EXPECT_THAT(std::string((*disk_.Map("/metrics.jsonl.2"))->text()), HasSubstr("\"step\":2,"));
}

TEST_F(MetricsWriterTest, ATornLastRowIsDroppedOnResume) {
  {
    const auto writer = Open(MetricsWriter::kFreshStart);
    for (int64_t step = 1; step <= 3; ++step) ASSERT_TRUE(writer->Write(Sample(step)).ok());
  }
  ASSERT_TRUE(disk_.Truncate(kPath, Text().size() - 10).ok());
  ASSERT_TRUE(Open(3)->Write(Sample(4)).ok());
  EXPECT_THAT(Steps(), ElementsAre(1, 2, 4));
}

TEST_F(MetricsWriterTest, TellsWhichRowsAreMissing) {
  const auto missing = [](const std::string& text, int64_t resumed_step) {
    StepGaps gaps;
    BytesUpToStep(text, resumed_step, &gaps);
    return gaps.Describe();
  };
  const std::string rows = "{\"step\":0}\n{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n";
  EXPECT_EQ(missing(rows, 3), "");
  EXPECT_EQ(missing(rows, 2), "");
  EXPECT_EQ(missing(rows, 5), "2 records are missing after step 3");
  EXPECT_EQ(missing("", 5), "5 records are missing at the beginning");
  EXPECT_EQ(missing("garbage without a row", 5), "5 records are missing at the beginning");
  EXPECT_EQ(missing("{\"step\":1}\n[3\n{\"step\":4}\n", 4), "2 records are missing after step 1");
  EXPECT_EQ(missing("{\"step\":101}\n{\"step\":102}\n", 102), "") << "began at a checkpoint";
  EXPECT_EQ(missing(rows, MetricsWriter::kFreshStart), "");
  StepGaps gaps;
  EXPECT_TRUE(MetricsWriter::Open(disk_, kPath, 4, &gaps).ok());
  EXPECT_EQ(gaps.num_missing(), 4) << "no file";
}

TEST_F(MetricsWriterTest, AFailingDiskLeavesWholeRows) {
  const auto writer = Open(MetricsWriter::kFreshStart);
  ASSERT_TRUE(writer->Write(Sample(1)).ok());
  disk_.FailOperations(disk_.num_operations());
  for (int64_t step = 2; step <= 5; ++step) {
    EXPECT_THAT(std::string(writer->Write(Sample(step)).message()),
                HasSubstr("No space left on device"));
  }
  disk_.StopFailing();
  ASSERT_TRUE(writer->Write(Sample(6)).ok());
  EXPECT_THAT(Steps(), ElementsAre(1, 6));
}

TEST_F(MetricsWriterTest, OneFailureOfAnyOperationLosesAtMostItsRow) {
  for (int64_t k = 0; k < 4; ++k) {
    const auto writer = Open(MetricsWriter::kFreshStart);
    disk_.FailOperations(disk_.num_operations() + k, 1);
    size_t num_lost = 0;
    for (int64_t step = 1; step <= 4; ++step) num_lost += writer->Write(Sample(step)).ok() ? 0 : 1;
    disk_.StopFailing();
    EXPECT_EQ(Steps().size() + num_lost, 4U) << k;
    EXPECT_LE(num_lost, 1U) << k;
  }
}

TEST_F(MetricsWriterTest, AFileThatCannotBeOpenedIsAnError) {
  EXPECT_FALSE(MetricsWriter::Open(disk_, "/none/metrics.jsonl", -1).ok());
}

}  // namespace
}  // namespace equipoise
