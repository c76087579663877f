#include "core/io/checkpoint_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/io/atomic_file.h"
#include "core/io/in_memory_file_system.h"
#include "core/io/safetensors.h"

namespace equipoise {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kPath[] = "/run/ckpt";

// Writes two files whose tensor holds `value`; everything a trainer would do.
absl::Status Save(FileSystem& disk, int64_t step, float value) {
  CheckpointDirectory directory(disk, kPath);
  EQ_ASSIGN_OR_RETURN(const std::string files_path, directory.Begin(step));
  Manifest manifest;
  manifest.step = step;
  for (const char* name : {"w0", "w1"}) {
    const std::string file = absl::StrCat(name, ".safetensors");
    EQ_ASSIGN_OR_RETURN(auto writer,
                        SafetensorsWriter::Create(disk, JoinPath(files_path, file),
                                                  {{name, SafetensorsDType::kF32, {1}}}));
    EQ_RETURN_IF_ERROR(writer->Write(name, std::as_bytes(std::span<const float>(&value, 1))));
    EQ_ASSIGN_OR_RETURN(const auto written, writer->Finish());
    manifest.AddFile(file, writer->file_bytes(), written);
  }
  return directory.Commit(files_path, manifest).status();
}

// The value a complete checkpoint holds, all its checksums being right.
float ValueOf(const FileSystem& disk, const Checkpoint& checkpoint) {
  EXPECT_TRUE(VerifyChecksums(disk, checkpoint.path, checkpoint.manifest).ok());
  float value = 0.0F;
  auto reader = SafetensorsReader::Open(disk, JoinPath(checkpoint.path, "w1.safetensors"));
  EXPECT_TRUE(reader.ok()) << reader.status();
  EXPECT_TRUE((*reader)->Read<float>("w1", {1}, std::span<float>(&value, 1)).ok());
  return value;
}

std::vector<int64_t> Steps(const FileSystem& disk) {
  std::vector<int64_t> steps;
  // Listing changes nothing, but the directory is an object for writing too.
  auto listing = CheckpointDirectory(const_cast<FileSystem&>(disk), kPath).List();
  EXPECT_TRUE(listing.ok()) << listing.status();
  for (const Checkpoint& checkpoint : listing->complete) steps.push_back(checkpoint.step);
  return steps;
}

class CheckpointDirectoryTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(directory_.Prepare().ok()); }

  std::string Read(const std::string& path) {
    auto view = disk_.Map(path);
    return view.ok() ? std::string((*view)->text()) : std::string(view.status().message());
  }

  InMemoryFileSystem disk_;
  CheckpointDirectory directory_{disk_, kPath};
};

TEST_F(CheckpointDirectoryTest, SavesAndLists) {
  EXPECT_FALSE(directory_.Latest()->has_value());
  ASSERT_TRUE(Save(disk_, 100, 1.0F).ok());
  ASSERT_TRUE(Save(disk_, 20, 2.0F).ok());
  EXPECT_THAT(Steps(disk_), ElementsAre(100, 20));
  EXPECT_THAT(*disk_.List(kPath), ElementsAre("LATEST", "step-00000020", "step-00000100"));
  EXPECT_EQ(Read("/run/ckpt/LATEST"), "step-00000020\n");
  const auto latest = directory_.Latest();
  ASSERT_TRUE(latest.ok() && latest->has_value());
  EXPECT_EQ((*latest)->path, "/run/ckpt/step-00000100");
  EXPECT_EQ(ValueOf(disk_, **latest), 1.0F);
}

TEST_F(CheckpointDirectoryTest, ListsNothingWhereNothingIs) {
  CheckpointDirectory nowhere(disk_, "/nowhere");
  ASSERT_TRUE(nowhere.List().ok());
  EXPECT_FALSE(nowhere.Latest()->has_value());
}

TEST_F(CheckpointDirectoryTest, TheSameStepIsReplaced) {
  ASSERT_TRUE(Save(disk_, 5, 1.0F).ok());
  ASSERT_TRUE(Save(disk_, 5, 2.0F).ok());
  EXPECT_EQ(ValueOf(disk_, **directory_.Latest()), 2.0F);
  EXPECT_THAT(*disk_.List(kPath), ElementsAre("LATEST", "step-00000005"));
}

TEST_F(CheckpointDirectoryTest, PruneKeepsTheNewestAndTheLatestWritten) {
  for (const int64_t step : {10, 20, 30, 40, 15}) ASSERT_TRUE(Save(disk_, step, 1.0F).ok());
  ASSERT_TRUE(directory_.Prune(2).ok());
  EXPECT_THAT(Steps(disk_), ElementsAre(40, 30, 15));
  ASSERT_TRUE(directory_.Prune(9).ok());
  EXPECT_THAT(Steps(disk_), ElementsAre(40, 30, 15));
}

TEST_F(CheckpointDirectoryTest, PrepareRemovesOnlyLeftovers) {
  ASSERT_TRUE(Save(disk_, 1, 1.0F).ok());
  ASSERT_TRUE(directory_.Begin(2).ok());
  for (const char* name : {"LATEST.tmp-12", "notes.tmp-1", "step-x.tmp-1", "other"}) {
    ASSERT_TRUE(WriteSyncedFile(disk_, JoinPath(kPath, name), "x").ok());
  }
  ASSERT_TRUE(directory_.Prepare().ok());
  EXPECT_THAT(*disk_.List(kPath),
              ElementsAre("LATEST", "notes.tmp-1", "other", "step-00000001", "step-x.tmp-1"));
}

TEST_F(CheckpointDirectoryTest, IncompleteOnesAreNamedAndPassedOver) {
  for (const int64_t step : {1, 2, 3, 4, 5}) ASSERT_TRUE(Save(disk_, step, 1.0F).ok());
  ASSERT_TRUE(disk_.RemoveAll("/run/ckpt/step-00000002/w0.safetensors").ok());
  ASSERT_TRUE(disk_.Truncate("/run/ckpt/step-00000003/w1.safetensors", 9).ok());
  ASSERT_TRUE(disk_.Truncate("/run/ckpt/step-00000004/MANIFEST.json", 9).ok());
  ASSERT_TRUE(disk_.RemoveAll("/run/ckpt/step-00000005/MANIFEST.json").ok());
  ASSERT_TRUE(disk_.CreateDirectories("/run/ckpt/step-00000009").ok());
  EXPECT_THAT(Steps(disk_), ElementsAre(1));
  EXPECT_THAT(directory_.List()->problems,
              ElementsAre(HasSubstr("step-00000002/w0.safetensors': No such file"),
                          HasSubstr("step-00000003/w1.safetensors' has 9 bytes"),
                          HasSubstr("step-00000004/MANIFEST.json' is no valid manifest"),
                          HasSubstr("step-00000005/MANIFEST.json': No such file"),
                          HasSubstr("step-00000009/MANIFEST.json': No such file")));
  ASSERT_TRUE(Save(disk_, 6, 1.0F).ok());
  ASSERT_TRUE(directory_.Prune(1).ok());
  EXPECT_THAT(Steps(disk_), ElementsAre(6));
}

TEST_F(CheckpointDirectoryTest, ALatestThatIsGoneIsNamed) {
  for (const int64_t step : {1, 2}) ASSERT_TRUE(Save(disk_, step, 1.0F).ok());
  ASSERT_TRUE(disk_.RemoveAll("/run/ckpt/step-00000002").ok());
  EXPECT_THAT(Steps(disk_), ElementsAre(1));
  EXPECT_THAT(directory_.List()->problems,
              ElementsAre("'/run/ckpt/LATEST' names step-00000002, which is not there"));
}

TEST_F(CheckpointDirectoryTest, ACheckpointUnderAnotherStepsNameIsRefused) {
  ASSERT_TRUE(Save(disk_, 1, 1.0F).ok());
  ASSERT_TRUE(disk_.Rename("/run/ckpt/step-00000001", "/run/ckpt/step-00000007").ok());
  EXPECT_THAT(Steps(disk_), IsEmpty());
  ASSERT_TRUE(disk_.Rename("/run/ckpt/step-00000007", "/run/ckpt/best").ok());
  EXPECT_EQ(OpenCheckpoint(disk_, "/run/ckpt/best")->step, 1);
}

TEST_F(CheckpointDirectoryTest, AFolderOfCheckpointsIsNoCheckpoint) {
  for (const int64_t step : {3, 12, 7}) ASSERT_TRUE(Save(disk_, step, 1.0F).ok());
  ASSERT_TRUE(disk_.CreateDirectories("/run/ckpt/step-00000099").ok());
  const absl::Status status = OpenCheckpoint(disk_, "/run/ckpt").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(),
            "'/run/ckpt' is a folder of checkpoints, not a checkpoint: name one of its step-... "
            "folders; the newest is '/run/ckpt/step-00000012'");
  EXPECT_THAT(std::string(OpenCheckpoint(disk_, "/run").status().message()),
              HasSubstr("/run/MANIFEST.json': No such file"));
}

TEST_F(CheckpointDirectoryTest, CommitRefusesMissingAndShortFiles) {
  const std::string files_path = *directory_.Begin(1);
  Manifest manifest;
  manifest.step = 1;
  manifest.files = {{"a.safetensors", 8}};
  EXPECT_THAT(std::string(directory_.Commit(files_path, manifest).status().message()),
              HasSubstr("'a.safetensors' should have 8 bytes, found cannot read"));
  ASSERT_TRUE(WriteSyncedFile(disk_, JoinPath(files_path, "a.safetensors"), "1234567").ok());
  EXPECT_THAT(std::string(directory_.Commit(files_path, manifest).status().message()),
              HasSubstr("found 7 bytes"));
  EXPECT_THAT(Steps(disk_), IsEmpty());
  ASSERT_TRUE(directory_.Abandon(files_path).ok());
  EXPECT_THAT(*disk_.List(kPath), IsEmpty());
}

TEST_F(CheckpointDirectoryTest, SwappedFilesAreFoundByTheirChecksums) {
  ASSERT_TRUE(Save(disk_, 1, 1.0F).ok());
  ASSERT_TRUE(Save(disk_, 2, 2.0F).ok());
  ASSERT_TRUE(disk_
                  .Exchange("/run/ckpt/step-00000001/w1.safetensors",
                            "/run/ckpt/step-00000002/w1.safetensors")
                  .ok());
  const auto latest = directory_.Latest();
  const absl::Status status = VerifyChecksums(disk_, (*latest)->path, (*latest)->manifest);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("step-00000002/w1.safetensors': tensor 'w1' at data offset 0"));
}

// A directory with the checkpoint of step 1, which survives a power loss.
void SaveFirst(InMemoryFileSystem& disk) {
  ASSERT_TRUE(CheckpointDirectory(disk, kPath).Prepare().ok());
  ASSERT_TRUE(Save(disk, 1, 1.0F).ok());
}

// What is found after a save of `new_step` during which operation k (and, unless `once`, all later
// ones) failed: a whole checkpoint, the new one if the save succeeded. Returns whether it did.
bool ExpectWhole(int64_t new_step, int64_t k, bool once, bool crash) {
  InMemoryFileSystem disk;
  SaveFirst(disk);
  disk.FailOperations(disk.num_operations() + k, once ? 1 : 1'000'000);
  const bool saved = Save(disk, new_step, 2.0F).ok();
  disk.StopFailing();
  if (crash) disk.Crash();

  CheckpointDirectory directory(disk, kPath);
  EXPECT_TRUE(directory.Prepare().ok());
  const auto latest = directory.Latest();
  EXPECT_TRUE(latest.ok() && latest->has_value()) << "operation " << k;
  if (!latest.ok() || !latest->has_value()) return saved;
  const float value = ValueOf(disk, **latest);
  EXPECT_TRUE(value == 2.0F || (value == 1.0F && !saved)) << "operation " << k << ": " << value;
  EXPECT_EQ((*latest)->step, value == 2.0F ? new_step : 1);
  EXPECT_THAT(directory.List()->problems, IsEmpty());
  return saved;
}

// Whichever operation of a save fails (that one only, or the disk from then on), and whether power
// is then lost or not, nothing is lost and nothing partial is taken for a checkpoint.
void ExpectSavesSafely(int64_t new_step) {
  InMemoryFileSystem disk;
  SaveFirst(disk);
  const int64_t before = disk.num_operations();
  ASSERT_TRUE(Save(disk, new_step, 2.0F).ok());
  const int64_t num_operations = disk.num_operations() - before;
  EXPECT_GT(num_operations, 15);
  for (int64_t k = 0; k <= num_operations; ++k) {
    for (const bool once : {false, true}) {
      for (const bool crash : {false, true}) {
        EXPECT_EQ(ExpectWhole(new_step, k, once, crash), k == num_operations) << k;
      }
    }
  }
}

TEST(CheckpointFaultTest, AnyFailingOperationLeavesAWholeCheckpoint) { ExpectSavesSafely(2); }

TEST(CheckpointFaultTest, TheSameHoldsWhenAStepIsReplaced) { ExpectSavesSafely(1); }

TEST(CheckpointFaultTest, AFailingPruneLeavesOnlyWholeCheckpoints) {
  for (const bool crash : {false, true}) {
    bool pruned = false;
    for (int64_t k = 0; !pruned; ++k) {
      InMemoryFileSystem disk;
      SaveFirst(disk);
      for (const int64_t step : {2, 3, 4}) ASSERT_TRUE(Save(disk, step, 1.0F).ok());
      CheckpointDirectory directory(disk, kPath);
      disk.FailOperations(disk.num_operations() + k);
      pruned = directory.Prune(2).ok();
      disk.StopFailing();
      if (crash) disk.Crash();
      ASSERT_TRUE(directory.Prepare().ok());
      const auto listing = directory.List();
      EXPECT_THAT(listing->problems, IsEmpty()) << k;
      ASSERT_GE(listing->complete.size(), 2U) << k;
      EXPECT_EQ(listing->complete[0].step, 4);
      EXPECT_EQ(listing->complete[1].step, 3);
      for (const Checkpoint& checkpoint : listing->complete) ValueOf(disk, checkpoint);
    }
  }
}

TEST(CheckpointNameTest, BothWays) {
  EXPECT_EQ(CheckpointName(100), "step-00000100");
  EXPECT_EQ(CheckpointName(123456789), "step-123456789");
  EXPECT_EQ(StepOfCheckpointName("step-123456789"), 123456789);
  for (const char* name : {"step-100", "step-000000001", "step-0000000x", "step-", "x",
                           "step-00000001.tmp-1", "step-99999999999999999999"}) {
    EXPECT_FALSE(StepOfCheckpointName(name).has_value()) << name;
  }
}

TEST(CheckpointOnDiskTest, WorksOnTheMachinesFileSystem) {
  const auto disk = NewPosixFileSystem();
  const std::string path = JoinPath(::testing::TempDir(), "ckpt-" + RandomHex(8));
  CheckpointDirectory directory(*disk, path);
  ASSERT_TRUE(directory.Prepare().ok());
  for (const char* text : {"one", "two"}) {
    const auto files_path = directory.Begin(3);
    ASSERT_TRUE(files_path.ok());
    Manifest manifest;
    manifest.step = 3;
    manifest.files = {{"a", 3}};
    ASSERT_TRUE(WriteSyncedFile(*disk, JoinPath(*files_path, "a"), text).ok());
    ASSERT_TRUE(directory.Commit(*files_path, manifest).ok());
  }
  EXPECT_THAT(*disk->List(path), ElementsAre("LATEST", "step-00000003"));
  EXPECT_EQ((*disk->Map(JoinPath(path, "step-00000003/a")))->text(), "two");
  EXPECT_TRUE(disk->RemoveAll(path).ok());
}

}  // namespace
}  // namespace equipoise
