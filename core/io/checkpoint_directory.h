#ifndef EQUIPOISE_CORE_IO_CHECKPOINT_DIRECTORY_H_
#define EQUIPOISE_CORE_IO_CHECKPOINT_DIRECTORY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/io/file_system.h"
#include "core/io/manifest.h"

namespace equipoise {

// A checkpoint on disk that is complete: its manifest parses and every file it lists is there with
// the right size. The data's checksums are not looked at; see VerifyChecksums.
struct Checkpoint {
  int64_t step = 0;
  std::string path;  // its directory
  Manifest manifest;
};

struct CheckpointListing {
  std::vector<Checkpoint> complete;  // the greatest step first
  // Why each other `step-*` directory is no complete checkpoint, and whether LATEST names one that
  // is gone, for a warning.
  std::vector<std::string> problems;
};

// The directory of a run's checkpoints, and the protocol that makes each of them appear at once or
// not at all, whatever fails and whenever power goes:
//
//   step-00000100.tmp-<8 hex>/   Begin; then the caller writes files here, each synced
//                                Commit: MANIFEST.json written and synced, directory synced,
//   step-00000100/               renamed, parent synced,
//   LATEST                       rewritten by rename: "step-00000100\n"
//
// 1. A directory named step-<digits> has been complete once: only Commit makes that name.
// 2. An older checkpoint is removed only by Prune, which only counts complete ones, or after the
//    new checkpoint of the same step has taken its name.
// 3. LATEST is for people and scripts; List and Latest choose by the directories themselves, so a
//    crash between the last two lines loses nothing.
//
// With several ranks, one of them calls everything here; the others write their files into the path
// of Begin, and all have finished before Commit. Thread-safe as far as the file system is, but two
// processes must not write checkpoints into one directory at a time.
class CheckpointDirectory {
 public:
  // `path` need not exist. `file_system` must outlive this object.
  CheckpointDirectory(FileSystem& file_system, std::string path);

  const std::string& path() const { return path_; }

  // Makes the directory, with its name synced, and removes what interrupted saves left behind.
  absl::Status Prepare();

  // An empty directory for the checkpoint of `step`: its path. REQUIRES: step >= 0.
  absl::StatusOr<std::string> Begin(int64_t step);
  // Completes what Begin started: `files_path` is Begin's answer, and all files of `manifest` lie
  // there, synced and of their listed sizes (FailedPrecondition naming the file otherwise).
  // Replaces an older checkpoint of the same step. Returns the checkpoint's path. On error every
  // complete checkpoint is still there, and the new one may be (if only a sync or LATEST failed).
  absl::StatusOr<std::string> Commit(const std::string& files_path, const Manifest& manifest);
  // Removes what Begin made, after an error.
  absl::Status Abandon(const std::string& files_path);

  // All checkpoints; none if the directory does not exist.
  absl::StatusOr<CheckpointListing> List() const;
  // The complete checkpoint of the greatest step, if there is any.
  absl::StatusOr<std::optional<Checkpoint>> Latest() const;
  // Removes complete checkpoints except the `keep` of greatest step and the one LATEST names (a run
  // resumed from an older checkpoint writes smaller steps than the abandoned ones). Incomplete
  // `step-*` directories are left for people to look at. REQUIRES: keep >= 1.
  absl::Status Prune(int64_t keep);

 private:
  absl::Status CheckFiles(const std::string& files_path, const Manifest& manifest) const;

  FileSystem& file_system_;
  const std::string path_;
};

// "step-00000100"
std::string CheckpointName(int64_t step);
// Of a name CheckpointName makes; nothing for any other.
std::optional<int64_t> StepOfCheckpointName(const std::string& name);

// A checkpoint directory someone named: an error naming what is missing unless it is complete. For
// a folder of checkpoints, such as CheckpointDirectory's own, the error names its newest.
absl::StatusOr<Checkpoint> OpenCheckpoint(const FileSystem& file_system, const std::string& path);

// Reads all files `manifest` lists under `path` and checks every tensor against its checksum, and
// that the files hold no tensor the manifest does not list. DataLoss naming file, tensor and offset
// of the first that differs.
absl::Status VerifyChecksums(const FileSystem& file_system, const std::string& path,
                             const Manifest& manifest);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_IO_CHECKPOINT_DIRECTORY_H_
