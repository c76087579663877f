#include "core/telemetry/router_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/io/hash.h"
#include "core/io/in_memory_file_system.h"
#include "core/telemetry/metrics_writer.h"
#include "core/telemetry/router_log_reader.h"
#include "core/telemetry/router_log_text.h"
#include "core/telemetry/router_log_writer.h"
#include "core/telemetry/step_gaps.h"
#include "tests/core/telemetry/sample_record.h"

namespace equipoise {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kDirectory[] = "/run";
constexpr char kPath[] = "/run/router.bin";

class RouterLogTest : public ::testing::Test {
 protected:
  RouterLogTest() { EXPECT_TRUE(disk_.CreateDirectories(kDirectory).ok()); }

  std::unique_ptr<StepSink> Open(int64_t resumed_step) {
    auto writer = RouterLogWriter::Open(disk_, kDirectory, resumed_step);
    EXPECT_TRUE(writer.ok()) << writer.status();
    return *std::move(writer);
  }
  void WriteSteps(int64_t first, int64_t last) {
    const auto writer = Open(first - 1);
    for (int64_t step = first; step <= last; ++step) {
      ASSERT_TRUE(writer->Write(SampleRecord(step)).ok());
    }
  }
  std::string Text() { return std::string((*disk_.Map(kPath))->text()); }
  void Overwrite(const std::string& text) {
    ASSERT_TRUE((*disk_.Create(kPath))->Append(text).ok());
  }

  struct Result {
    std::vector<int64_t> steps;
    int64_t num_skipped = 0;
  };
  // The steps from `first` on; each record must be the one that was written.
  Result Read(int64_t first = 0) {
    Result result;
    auto reader = RouterLogReader::Open(disk_, kDirectory);
    EXPECT_TRUE(reader.ok()) << reader.status();
    if (!reader.ok()) return result;
    if (first > 0) reader->SeekStep(first);
    RouterRecord record;
    while (reader->Next(record)) {
      result.steps.push_back(record.step);
      const StepRecord expected = SampleRecord(record.step);
      EXPECT_EQ(record.layers.size(), expected.layers.size());
      for (size_t i = 0; i < expected.layers.size(); ++i) {
        EXPECT_EQ(record.layers[i].layer, expected.layers[i].layer);
        EXPECT_EQ(record.layers[i].counts, expected.layers[i].counts);
        EXPECT_EQ(record.layers[i].rank_loads, expected.layers[i].rank_loads);
        EXPECT_EQ(record.layers[i].gate_bins, expected.layers[i].gate_bins);
        EXPECT_EQ(record.layers[i].token_copies, expected.layers[i].token_copies);
      }
      EXPECT_EQ(record.node_bytes, ToRouterRecord(expected).node_bytes);
    }
    result.num_skipped = reader->num_skipped();
    return result;
  }

  InMemoryFileSystem disk_;
};

TEST_F(RouterLogTest, RecordsComeBackAsTheyWereWritten) {
  WriteSteps(1, 5);
  EXPECT_THAT(Read().steps, ElementsAre(1, 2, 3, 4, 5));
  EXPECT_EQ(Read().num_skipped, 0);
}

TEST_F(RouterLogTest, AnyIntegersSurvive) {
  RouterRecord record;
  record.step = -3;
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max() / 4;
  record.layers = {{0, {0, kMost, 1, -kMost, 127, 128, 16384}, {}, {}, {0, 3}},
                   {70000, {}, {5}, {0, 0, kMost, 64, 0}, {}},
                   {2, {}, {}, {}, {}}};
  record.node_bytes = {1, 2, kMost, 4};
  const std::string whole = router_log::Encode(record);
  RouterRecord read;
  read.layers.resize(9);  // memory of another record
  read.layers[2].counts = {7};
  ASSERT_TRUE(router_log::Decode(std::string_view(whole).substr(8, whole.size() - 16), read));
  EXPECT_EQ(read.step, -3);
  ASSERT_EQ(read.layers.size(), 3U);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(read.layers[i].layer, record.layers[i].layer);
    EXPECT_EQ(read.layers[i].counts, record.layers[i].counts);
    EXPECT_EQ(read.layers[i].rank_loads, record.layers[i].rank_loads);
    EXPECT_EQ(read.layers[i].gate_bins, record.layers[i].gate_bins);
    EXPECT_EQ(read.layers[i].token_copies, record.layers[i].token_copies);
  }
  EXPECT_EQ(read.node_bytes, record.node_bytes);
}

TEST_F(RouterLogTest, IsReadableWhileItIsWritten) {
  const auto writer = Open(-1);
  for (int64_t step = 1; step <= 4; ++step) {
    ASSERT_TRUE(writer->Write(SampleRecord(step)).ok());
    EXPECT_EQ(Read().steps.size(), static_cast<size_t>(step));
  }
}

TEST_F(RouterLogTest, AResumedRunHasEveryStepOnce) {
  WriteSteps(1, 9);
  WriteSteps(6, 7);
  EXPECT_THAT(Read().steps, ElementsAre(1, 2, 3, 4, 5, 6, 7));
  EXPECT_THAT(Read(4).steps, ElementsAre(4, 5, 6, 7));
  Open(-1);
  EXPECT_THAT(Read().steps, IsEmpty());
}

TEST_F(RouterLogTest, EveryFlippedByteCostsOneRecord) {
  WriteSteps(1, 4);
  const std::string whole = Text();
  for (size_t i = router_log::kFileHeaderBytes; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    Overwrite(damaged);
    const Result result = Read();
    EXPECT_EQ(result.steps.size(), 3U) << "byte " << i;
    EXPECT_EQ(result.num_skipped, 1) << "byte " << i;
  }
}

TEST_F(RouterLogTest, EveryTruncationKeepsTheWholeRecords) {
  WriteSteps(1, 3);
  const std::string whole = Text();
  std::vector<size_t> ends = {router_log::kFileHeaderBytes};
  for (int64_t step = 1; step <= 3; ++step) {
    ends.push_back(ends.back() + router_log::Encode(ToRouterRecord(SampleRecord(step))).size());
  }
  for (size_t size = router_log::kFileHeaderBytes; size < whole.size(); ++size) {
    Overwrite(whole.substr(0, size));
    const Result result = Read();
    ASSERT_LT(result.steps.size(), 3U);
    const bool between = ends[result.steps.size()] == size;
    EXPECT_EQ(result.num_skipped, between ? 0 : 1) << size;
    // A run that goes on cuts the rest off and writes behind the whole records.
    ASSERT_TRUE(Open(3)->Write(SampleRecord(4)).ok());
    EXPECT_EQ(Read().steps.back(), 4);
    EXPECT_EQ(Read().num_skipped, 0) << size;
  }
}

// What is missing of the steps from `first` to `last`.
std::string Missing(const FileSystem& disk, int64_t first = 0,
                    int64_t last = std::numeric_limits<int64_t>::max()) {
  auto reader = RouterLogReader::Open(disk, kDirectory);
  EXPECT_TRUE(reader.ok()) << reader.status();
  if (first > 0) reader->SeekStep(first);
  reader->StopAfter(last);
  RouterRecord record;
  while (reader->Next(record)) EXPECT_LE(record.step, last);
  EXPECT_FALSE(reader->Next(record));
  return reader->gaps().Describe();
}

TEST_F(RouterLogTest, TheIndexTellsWhatIsCutOff) {
  WriteSteps(1, 50);
  const std::string whole = Text();
  const size_t record = (whole.size() - router_log::kFileHeaderBytes) / 50;
  EXPECT_EQ(Missing(disk_), "");
  Overwrite(whole.substr(0, whole.size() - 20 * record));
  const std::string all = Missing(disk_);
  EXPECT_THAT(all, HasSubstr("records are missing after step "));
  const auto reader_count = 50 - static_cast<int64_t>(Read().steps.size());
  EXPECT_THAT(all, HasSubstr(absl::StrCat(reader_count, " records")));
  EXPECT_EQ(Missing(disk_, 41), "10 records are missing after step 40");
  EXPECT_EQ(Missing(disk_, 41, 45), "5 records are missing after step 40");
  EXPECT_EQ(Missing(disk_, 3, 9), "");
  Overwrite(whole.substr(0, router_log::kFileHeaderBytes));
  EXPECT_EQ(Missing(disk_), "50 records are missing after step 0");
  // In the middle the steps tell it, with an index or without one.
  Overwrite(whole.substr(0, whole.find("EQR1", 200)) + whole.substr(whole.find("EQR1", 2000)));
  const std::string middle = Missing(disk_);
  EXPECT_THAT(middle, HasSubstr("records are missing after step "));
  ASSERT_TRUE((*disk_.Create("/run/router.idx"))->Append(std::string()).ok());
  EXPECT_EQ(Missing(disk_), middle);
  EXPECT_EQ(Missing(disk_, 0, 1), "");
}

TEST_F(RouterLogTest, AWriterTellsWhatIsMissingOfWhatStays) {
  WriteSteps(1, 9);
  const auto missing = [&](int64_t resumed_step) {
    StepGaps gaps;
    EXPECT_TRUE(RouterLogWriter::Open(disk_, kDirectory, resumed_step, &gaps).ok());
    return gaps.num_missing();
  };
  EXPECT_EQ(missing(8), 0);
  const std::string whole = Text();
  Overwrite(whole.substr(0, whole.size() - 1));
  EXPECT_EQ(missing(8), 1);
  EXPECT_EQ(missing(7), 0);
  Overwrite("EQR");
  EXPECT_EQ(missing(7), 7);
}

TEST_F(RouterLogTest, TheIndexFindsAStepAndMayBeMissingWrongOrShort) {
  WriteSteps(1, 50);
  const std::string index = std::string((*disk_.Map("/run/router.idx"))->text());
  EXPECT_EQ(index.size(), 50 * router_log::kIndexEntryBytes);
  std::string wrong = index;
  for (size_t i = 8; i < wrong.size(); i += 16) wrong[i] = static_cast<char>(wrong[i] + 1);
  for (const std::string& text :
       {index, std::string(), wrong, index.substr(0, 16 * 20 + 5), std::string(4000, '\xff')}) {
    ASSERT_TRUE((*disk_.Create("/run/router.idx"))->Append(text).ok());
    EXPECT_THAT(Read(47).steps, ElementsAre(47, 48, 49, 50));
    EXPECT_THAT(Read(51).steps, IsEmpty());
    EXPECT_EQ(Read(1).steps.size(), 50U);
  }
  // A seek by the index looks at one record before the step, not at all of them.
  std::string damaged = Text();
  damaged[40] = static_cast<char>(damaged[40] ^ 1);
  Overwrite(damaged);
  ASSERT_TRUE((*disk_.Create("/run/router.idx"))->Append(index).ok());
  EXPECT_THAT(Read(49).steps, ElementsAre(49, 50));
  EXPECT_EQ(Read(49).num_skipped, 0);
}

TEST_F(RouterLogTest, UnknownSectionsArePassedOver) {
  // Step 7, two sections: tag 99 with three bytes, and the counts of one layer.
  const std::string payload("\x0e\x02\x63\x03***\x01\x05\x01\x02\x02\x08\x00\x04", 16);
  RouterRecord record;
  ASSERT_FALSE(router_log::Decode(payload.substr(0, 10), record));
  const std::string good("\x0e\x02\x63\x03***\x01\x06\x01\x02\x02\x08\x01\x04", 15);
  ASSERT_TRUE(router_log::Decode(good, record));
  EXPECT_EQ(record.step, 7);
  ASSERT_EQ(record.layers.size(), 1U);
  EXPECT_THAT(record.layers[0].counts, ElementsAre(3, 6));  // 4 - 1, 4 + 2
}

TEST_F(RouterLogTest, FilesFromBeforeHistogramsAreRead) {
  // Step 5, two sections: counts {3, 6} of layer 1, rank loads {4, 5}; as versions before tags 4
  // and 5 wrote it.
  constexpr char kPayload[] =
      "\x0a\x02\x01\x06\x01\x01\x02\x08\x01\x04\x02\x06\x01\x01\x02\x08\x00\x02";
  std::string old("EQROUTER\x01\0\0\0\0\0\0\0", 16);
  std::string record = "EQR1";
  router_log::AppendFixed32(sizeof(kPayload) - 1, record);
  record.append(kPayload, sizeof(kPayload) - 1);
  router_log::AppendFixed64(Xxh3(std::string_view(record)), record);
  Overwrite(old + record);
  auto reader = RouterLogReader::Open(disk_, kDirectory);
  ASSERT_TRUE(reader.ok()) << reader.status();
  RouterRecord read;
  read.layers.resize(1);
  read.layers[0].gate_bins = {1, 2};  // memory of a newer record
  ASSERT_TRUE(reader->Next(read));
  EXPECT_EQ(read.step, 5);
  ASSERT_EQ(read.layers.size(), 1U);
  EXPECT_THAT(read.layers[0].counts, ElementsAre(3, 6));
  EXPECT_THAT(read.layers[0].rank_loads, ElementsAre(4, 5));
  EXPECT_THAT(read.layers[0].gate_bins, IsEmpty());
  EXPECT_THAT(read.layers[0].token_copies, IsEmpty());
  // A run that goes on with such a file adds records with histograms.
  ASSERT_TRUE(Open(5)->Write(SampleRecord(6)).ok());
  auto longer = RouterLogReader::Open(disk_, kDirectory);
  ASSERT_TRUE(longer->Next(read) && longer->Next(read));
  EXPECT_EQ(read.layers[1].gate_bins, SampleRecord(6).layers[1].gate_bins);
  EXPECT_EQ(longer->num_skipped(), 0);
}

TEST_F(RouterLogTest, OtherFilesAreRefusedWithAReason) {
  EXPECT_TRUE(absl::IsNotFound(RouterLogReader::Open(disk_, kDirectory).status()));
  Overwrite("EQROUT");
  EXPECT_TRUE(absl::IsDataLoss(RouterLogReader::Open(disk_, kDirectory).status()));
  Overwrite(std::string(100, 'x'));
  EXPECT_THAT(std::string(RouterLogReader::Open(disk_, kDirectory).status().message()),
              HasSubstr("no router log"));
  std::string newer = router_log::FileHeader();
  newer[8] = 9;
  Overwrite(newer);
  const absl::Status status = RouterLogReader::Open(disk_, kDirectory).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("newer Equipoise"));
  EXPECT_TRUE(absl::IsFailedPrecondition(RouterLogWriter::Open(disk_, kDirectory, 3).status()));
}

TEST_F(RouterLogTest, AFailingDiskLeavesWholeRecords) {
  for (int64_t k = 0; k < 8; ++k) {
    const auto writer = Open(-1);
    disk_.FailOperations(disk_.num_operations() + k, 1);
    int64_t failures = 0;
    for (int64_t step = 1; step <= 4; ++step) {
      if (!writer->Write(SampleRecord(step)).ok()) ++failures;
    }
    disk_.StopFailing();
    EXPECT_EQ(failures, 1) << k;
    EXPECT_EQ(Read().num_skipped, 0) << k;
    EXPECT_GE(Read().steps.size(), 3U) << k;
  }
}

TEST_F(RouterLogTest, TextsHoldTheNumbersOfMetricsJsonl) {
  for (const int64_t step : {1, 12345}) {
    const StepRecord record = SampleRecord(step);
    const auto row = nlohmann::json::parse(StepRecordToJson(record));
    std::string text;
    AppendJson(ToRouterRecord(record), text);
    const auto dumped = nlohmann::json::parse(text);
    EXPECT_EQ(dumped["step"], row["step"]);
    EXPECT_EQ(dumped["node_bytes"], row["node_bytes"]);
    std::string csv;
    for (size_t i = 0; i < record.layers.size(); ++i) {
      for (const char* key : {"layer", "counts", "rank_loads", "gate_bins", "token_copies"}) {
        EXPECT_EQ(dumped["moe"][i][key], row["moe"][i][key]) << key;
      }
      for (const char* key : {"counts", "rank_loads", "gate_bins", "token_copies"}) {
        absl::StrAppend(&csv, step, ",", record.layers[i].layer, ",", key);
        for (const auto& value : row["moe"][i][key]) absl::StrAppend(&csv, ",", value.dump());
        csv += '\n';
      }
    }
    absl::StrAppend(&csv, step, ",,node_bytes");
    for (const auto& nodes : row["node_bytes"]) {
      for (const auto& value : nodes) absl::StrAppend(&csv, ",", value.dump());
    }
    csv += '\n';
    std::string lines;
    AppendCsv(ToRouterRecord(record), lines);
    EXPECT_EQ(lines, csv);
  }
}

}  // namespace
}  // namespace equipoise
