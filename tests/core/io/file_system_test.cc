#include "core/io/file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>

#include "core/io/atomic_file.h"
#include "core/io/in_memory_file_system.h"

namespace equipoise {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string ReadAll(const FileSystem& disk, const std::string& path) {
  auto view = disk.Map(path);
  return view.ok() ? std::string((*view)->text()) : std::string(view.status().message());
}

// The same expectations hold for the machine's disk and for the one in memory.
class FileSystemTest : public ::testing::TestWithParam<bool> {
 protected:
  FileSystemTest() {
    if (GetParam()) {
      disk_ = NewPosixFileSystem();
    } else {
      disk_ = std::make_unique<InMemoryFileSystem>();
    }
    root_ = JoinPath(::testing::TempDir(), "file_system_test-" + RandomHex(8));
    EXPECT_TRUE(disk_->CreateDirectories(root_).ok());
  }
  ~FileSystemTest() override { EXPECT_TRUE(disk_->RemoveAll(root_).ok()); }

  std::string Path(const std::string& name) const { return JoinPath(root_, name); }

  std::unique_ptr<FileSystem> disk_;
  std::string root_;
};

INSTANTIATE_TEST_SUITE_P(All, FileSystemTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Posix" : "InMemory"; });

TEST_P(FileSystemTest, WritesAppendsAndTruncates) {
  ASSERT_TRUE(WriteSyncedFile(*disk_, Path("f"), "hello").ok());
  EXPECT_EQ(ReadAll(*disk_, Path("f")), "hello");
  auto file = disk_->OpenAppend(Path("f"));
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->Append(" world").ok());
  ASSERT_TRUE(disk_->Truncate(Path("f"), 2).ok());
  ASSERT_TRUE((*file)->Append("y").ok());
  ASSERT_TRUE((*file)->Close().ok());
  EXPECT_EQ(ReadAll(*disk_, Path("f")), "hey");
  EXPECT_EQ(*disk_->FileSize(Path("f")), 3U);
  ASSERT_TRUE(WriteSyncedFile(*disk_, Path("f"), "").ok());
  EXPECT_EQ(ReadAll(*disk_, Path("f")), "");
}

TEST_P(FileSystemTest, ListsSortedAndRemoves) {
  ASSERT_TRUE(disk_->CreateDirectories(Path("d/e")).ok());
  ASSERT_TRUE(disk_->CreateDirectories(Path("d/e")).ok());
  ASSERT_TRUE(WriteSyncedFile(*disk_, Path("d/b"), "1").ok());
  ASSERT_TRUE(WriteSyncedFile(*disk_, Path("d/a"), "2").ok());
  EXPECT_THAT(*disk_->List(Path("d")), ElementsAre("a", "b", "e"));
  ASSERT_TRUE(disk_->SyncDirectory(Path("d")).ok());
  ASSERT_TRUE(disk_->RemoveAll(Path("d")).ok());
  EXPECT_FALSE(disk_->Exists(Path("d")));
  EXPECT_TRUE(disk_->RemoveAll(Path("d")).ok());
}

TEST_P(FileSystemTest, RenamesAndExchanges) {
  ASSERT_TRUE(disk_->CreateDirectories(Path("a")).ok());
  ASSERT_TRUE(disk_->CreateDirectories(Path("b")).ok());
  ASSERT_TRUE(WriteSyncedFile(*disk_, Path("a/f"), "of a").ok());
  ASSERT_TRUE(WriteSyncedFile(*disk_, Path("b/f"), "of b").ok());
  EXPECT_FALSE(disk_->Rename(Path("a"), Path("b")).ok()) << "b is not empty";
  ASSERT_TRUE(disk_->Exchange(Path("a"), Path("b")).ok());
  EXPECT_EQ(ReadAll(*disk_, Path("a/f")), "of b");
  ASSERT_TRUE(disk_->Rename(Path("a"), Path("c")).ok());
  EXPECT_FALSE(disk_->Exists(Path("a")));
  EXPECT_EQ(ReadAll(*disk_, Path("c/f")), "of b");
}

TEST_P(FileSystemTest, ErrorsNamePathAndCause) {
  ASSERT_TRUE(WriteSyncedFile(*disk_, Path("file"), "x").ok());
  const auto expect = [&](const absl::Status& status, const std::string& path, const char* cause) {
    EXPECT_THAT(std::string(status.message()), HasSubstr("'" + path + "'"));
    EXPECT_THAT(std::string(status.message()), HasSubstr(cause));
  };
  expect(disk_->Map(Path("none")).status(), Path("none"), "No such file");
  expect(disk_->Map(root_).status(), root_, "Is a directory");
  expect(disk_->CreateDirectories(Path("file/d")), Path("file/d"), "Not a directory");
  expect(disk_->CreateDirectories(Path("file")), Path("file"), "Not a directory");
  expect(disk_->Create(Path("none/f")).status(), Path("none/f"), "No such file");
  expect(disk_->List(Path("file")).status(), Path("file"), "Not a directory");
  EXPECT_EQ(disk_->FileSize(Path("none")).status().code(), absl::StatusCode::kNotFound);
}

TEST_P(FileSystemTest, AtomicFileReplacesAndLeavesNothingBehind) {
  ASSERT_TRUE(WriteFileAtomically(*disk_, Path("f"), "one").ok());
  ASSERT_TRUE(WriteFileAtomically(*disk_, Path("f"), "two").ok());
  EXPECT_EQ(ReadAll(*disk_, Path("f")), "two");
  EXPECT_THAT(*disk_->List(root_), ElementsAre("f"));
}

TEST(PathTest, Parts) {
  EXPECT_EQ(JoinPath("a", "b"), "a/b");
  EXPECT_EQ(JoinPath("a/", "b"), "a/b");
  EXPECT_EQ(JoinPath("", "b"), "b");
  EXPECT_EQ(DirectoryOf("a/b/c"), "a/b");
  EXPECT_EQ(DirectoryOf("c"), ".");
  EXPECT_EQ(DirectoryOf("/c"), "/");
  EXPECT_EQ(DirectoryOf("a/b/"), "a");
  EXPECT_EQ(BaseNameOf("a/b/"), "b");
  EXPECT_EQ(BaseNameOf("c"), "c");
  EXPECT_EQ(RandomHex(5).size(), 5U);
}

// The old contents or the new, whichever operation fails first, and whether the machine then loses
// power or not.
TEST(AtomicFileTest, OldOrNewWhateverFails) {
  for (const bool crash : {false, true}) {
    for (int64_t k = 0;; ++k) {
      InMemoryFileSystem disk;
      ASSERT_TRUE(disk.CreateDirectories("/d").ok());
      ASSERT_TRUE(WriteFileAtomically(disk, "/d/f", "old").ok());
      disk.FailOperations(disk.num_operations() + k);
      const bool done = WriteFileAtomically(disk, "/d/f", "new contents").ok();
      if (crash) disk.Crash();
      const std::string contents = ReadAll(disk, "/d/f");
      EXPECT_TRUE(contents == "old" || contents == "new contents") << k << ": " << contents;
      if (done) {
        EXPECT_EQ(contents, "new contents");
        break;
      }
    }
  }
}

TEST(InMemoryFileSystemTest, CrashKeepsWhatWasSynced) {
  InMemoryFileSystem disk;
  ASSERT_TRUE(disk.CreateDirectories("/d").ok());
  auto file = disk.Create("/d/f");
  ASSERT_TRUE((*file)->Append("synced").ok());
  ASSERT_TRUE((*file)->Sync().ok());
  ASSERT_TRUE((*file)->Append(" not").ok());
  ASSERT_TRUE(disk.SyncDirectory("/d").ok());
  ASSERT_TRUE(WriteSyncedFile(disk, "/d/unnamed", "x").ok());
  disk.Crash();
  EXPECT_THAT(*disk.List("/d"), ElementsAre("f"));
  EXPECT_EQ(ReadAll(disk, "/d/f"), "synced");
}

TEST(InMemoryFileSystemTest, FailsOnlyTheOperationsToldTo) {
  InMemoryFileSystem disk;
  auto file = disk.Create("/f");
  disk.FailOperations(disk.num_operations(), 1);
  const absl::Status status = (*file)->Append("abcd");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("No space left on device"));
  EXPECT_EQ(ReadAll(disk, "/f"), "ab");
  EXPECT_TRUE((*file)->Append("cd").ok());
  EXPECT_EQ(ReadAll(disk, "/f"), "abcd");
}

}  // namespace
}  // namespace equipoise
