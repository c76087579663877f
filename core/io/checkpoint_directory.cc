#include "core/io/checkpoint_directory.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "core/io/atomic_file.h"
#include "core/io/safetensors.h"

namespace equipoise {
namespace {

constexpr char kLatest[] = "LATEST";
constexpr char kPrefix[] = "step-";
constexpr char kTemporary[] = ".tmp-";

// "step-<digits>.tmp-...", the name CheckpointDirectory::Begin makes, or LATEST's temporary file.
bool IsLeftover(const std::string& name) {
  const size_t mark = name.find(kTemporary);
  if (mark == std::string::npos) return false;
  const std::string before = name.substr(0, mark);
  return before == kLatest || StepOfCheckpointName(before).has_value();
}

std::string ReadLatest(const FileSystem& file_system, const std::string& path) {
  const auto view = file_system.Map(JoinPath(path, kLatest));
  if (!view.ok()) return "";
  const std::string_view text = (*view)->text();
  return std::string(text.substr(0, text.find('\n')));
}

// Why `path`, which has no manifest, is no checkpoint, when it is a folder of checkpoints: OK when
// it is not.
absl::Status CheckNoFolderOfCheckpoints(const FileSystem& file_system, const std::string& path) {
  const auto names = file_system.List(path);
  if (!names.ok()) return absl::OkStatus();
  int64_t newest = -1;
  for (const std::string& name : *names) {
    const bool has_manifest =
        file_system.Exists(JoinPath(JoinPath(path, name), Manifest::kFileName));
    if (has_manifest) newest = std::max(newest, StepOfCheckpointName(name).value_or(-1));
  }
  if (newest < 0) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat("'", path,
                                          "' is a folder of checkpoints, not a checkpoint: name "
                                          "one of its step-... folders; the newest is '",
                                          JoinPath(path, CheckpointName(newest)), "'"));
}

}  // namespace

std::string CheckpointName(int64_t step) { return absl::StrFormat("%s%08d", kPrefix, step); }

std::optional<int64_t> StepOfCheckpointName(const std::string& name) {
  if (!absl::StartsWith(name, kPrefix)) return std::nullopt;
  const std::string digits = name.substr(sizeof(kPrefix) - 1);
  if (digits.size() < 8 || digits.size() > 18) return std::nullopt;
  if (digits.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  const int64_t step = std::stoll(digits);
  if (CheckpointName(step) != name) return std::nullopt;
  return step;
}

absl::StatusOr<Checkpoint> OpenCheckpoint(const FileSystem& file_system, const std::string& path) {
  const std::string manifest_path = JoinPath(path, Manifest::kFileName);
  Checkpoint checkpoint;
  checkpoint.path = path;
  if (!file_system.Exists(manifest_path)) {
    EQ_RETURN_IF_ERROR(CheckNoFolderOfCheckpoints(file_system, path));
  }
  {
    EQ_ASSIGN_OR_RETURN(const auto view, file_system.Map(manifest_path));
    EQ_ASSIGN_OR_RETURN(checkpoint.manifest, ParseManifest(view->text(), manifest_path));
  }
  checkpoint.step = checkpoint.manifest.step;
  const auto named = StepOfCheckpointName(BaseNameOf(path));
  if (named.has_value() && *named != checkpoint.step) {
    return absl::DataLossError(absl::StrCat("'", path, "' holds the checkpoint of step ",
                                            checkpoint.step, ", not of its name's"));
  }
  for (const ManifestFile& file : checkpoint.manifest.files) {
    const std::string file_path = JoinPath(path, file.name);
    EQ_ASSIGN_OR_RETURN(const uint64_t num_bytes, file_system.FileSize(file_path));
    if (num_bytes != file.num_bytes) {
      return absl::DataLossError(absl::StrCat("'", file_path, "' has ", num_bytes,
                                              " bytes; its manifest says ", file.num_bytes));
    }
  }
  return checkpoint;
}

CheckpointDirectory::CheckpointDirectory(FileSystem& file_system, std::string path)
    : file_system_(file_system), path_(std::move(path)) {}

absl::Status CheckpointDirectory::Prepare() {
  EQ_RETURN_IF_ERROR(file_system_.CreateDirectories(path_));
  EQ_RETURN_IF_ERROR(file_system_.SyncDirectory(DirectoryOf(path_)));
  EQ_ASSIGN_OR_RETURN(const auto names, file_system_.List(path_));
  for (const std::string& name : names) {
    if (IsLeftover(name)) EQ_RETURN_IF_ERROR(file_system_.RemoveAll(JoinPath(path_, name)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> CheckpointDirectory::Begin(int64_t step) {
  EQ_CHECK_GE(step, 0);
  const std::string name = absl::StrCat(CheckpointName(step), kTemporary, RandomHex(8));
  const std::string files_path = JoinPath(path_, name);
  EQ_RETURN_IF_ERROR(file_system_.CreateDirectories(files_path));
  return files_path;
}

absl::Status CheckpointDirectory::CheckFiles(const std::string& files_path,
                                             const Manifest& manifest) const {
  for (const ManifestFile& file : manifest.files) {
    const auto num_bytes = file_system_.FileSize(JoinPath(files_path, file.name));
    if (num_bytes.ok() && *num_bytes == file.num_bytes) continue;
    const std::string found = num_bytes.ok() ? absl::StrCat(*num_bytes, " bytes")
                                             : std::string(num_bytes.status().message());
    return absl::FailedPreconditionError(
        absl::StrCat("the checkpoint in '", files_path, "' is not complete: '", file.name,
                     "' should have ", file.num_bytes, " bytes, found ", found));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> CheckpointDirectory::Commit(const std::string& files_path,
                                                        const Manifest& manifest) {
  EQ_RETURN_IF_ERROR(CheckFiles(files_path, manifest));
  EQ_ASSIGN_OR_RETURN(const std::string text, ManifestToJson(manifest));
  EQ_RETURN_IF_ERROR(
      WriteSyncedFile(file_system_, JoinPath(files_path, Manifest::kFileName), text));
  EQ_RETURN_IF_ERROR(file_system_.SyncDirectory(files_path));

  const std::string name = CheckpointName(manifest.step);
  const std::string final_path = JoinPath(path_, name);
  const bool replaces = file_system_.Exists(final_path);
  if (replaces) {
    EQ_RETURN_IF_ERROR(file_system_.Exchange(files_path, final_path));
  } else {
    EQ_RETURN_IF_ERROR(file_system_.Rename(files_path, final_path));
  }
  EQ_RETURN_IF_ERROR(file_system_.SyncDirectory(path_));
  // Now that the new one is in place for good, what it replaced has the temporary name.
  if (replaces) EQ_RETURN_IF_ERROR(file_system_.RemoveAll(files_path));
  EQ_RETURN_IF_ERROR(WriteFileAtomically(file_system_, JoinPath(path_, kLatest), name + "\n"));
  return final_path;
}

absl::Status CheckpointDirectory::Abandon(const std::string& files_path) {
  return file_system_.RemoveAll(files_path);
}

absl::StatusOr<CheckpointListing> CheckpointDirectory::List() const {
  CheckpointListing listing;
  if (!file_system_.Exists(path_)) return listing;
  EQ_ASSIGN_OR_RETURN(const auto names, file_system_.List(path_));
  for (const std::string& name : names) {
    if (!StepOfCheckpointName(name).has_value()) continue;
    auto checkpoint = OpenCheckpoint(file_system_, JoinPath(path_, name));
    if (checkpoint.ok()) {
      listing.complete.push_back(*std::move(checkpoint));
    } else {
      listing.problems.push_back(std::string(checkpoint.status().message()));
    }
  }
  const std::string latest = ReadLatest(file_system_, path_);
  if (!latest.empty() && !file_system_.Exists(JoinPath(path_, latest))) {
    listing.problems.push_back(
        absl::StrCat("'", JoinPath(path_, kLatest), "' names ", latest, ", which is not there"));
  }
  std::sort(listing.complete.begin(), listing.complete.end(),
            [](const Checkpoint& a, const Checkpoint& b) { return a.step > b.step; });
  return listing;
}

absl::StatusOr<std::optional<Checkpoint>> CheckpointDirectory::Latest() const {
  EQ_ASSIGN_OR_RETURN(CheckpointListing listing, List());
  if (listing.complete.empty()) return std::optional<Checkpoint>();
  return std::optional<Checkpoint>(std::move(listing.complete.front()));
}

absl::Status CheckpointDirectory::Prune(int64_t keep) {
  EQ_CHECK_GE(keep, 1);
  EQ_ASSIGN_OR_RETURN(const CheckpointListing listing, List());
  const std::string latest = ReadLatest(file_system_, path_);
  std::vector<std::string> doomed;
  for (size_t i = static_cast<size_t>(keep); i < listing.complete.size(); ++i) {
    const std::string& old_path = listing.complete[i].path;
    if (BaseNameOf(old_path) == latest) continue;
    doomed.push_back(absl::StrCat(old_path, kTemporary, RandomHex(8)));
    EQ_RETURN_IF_ERROR(file_system_.Rename(old_path, doomed.back()));
  }
  if (doomed.empty()) return absl::OkStatus();
  // Half a removed checkpoint must not have a checkpoint's name, not even after a power loss.
  EQ_RETURN_IF_ERROR(file_system_.SyncDirectory(path_));
  for (const std::string& path : doomed) EQ_RETURN_IF_ERROR(file_system_.RemoveAll(path));
  return absl::OkStatus();
}

absl::Status VerifyChecksums(const FileSystem& file_system, const std::string& path,
                             const Manifest& manifest) {
  std::map<std::string, std::vector<const ManifestTensor*>> by_file;
  for (const ManifestFile& file : manifest.files) by_file[file.name] = {};
  for (const ManifestTensor& tensor : manifest.tensors) by_file[tensor.file].push_back(&tensor);
  for (const auto& [name, tensors] : by_file) {
    EQ_ASSIGN_OR_RETURN(const auto reader,
                        SafetensorsReader::Open(file_system, JoinPath(path, name)));
    for (const ManifestTensor* tensor : tensors) {
      EQ_RETURN_IF_ERROR(VerifyTensor(*reader, *tensor));
    }
    if (reader->entries().size() != tensors.size()) {
      return absl::DataLossError(absl::StrCat("'", reader->path(), "' has ",
                                              reader->entries().size(),
                                              " tensors; its manifest lists ", tensors.size()));
    }
  }
  return absl::OkStatus();
}

}  // namespace equipoise
