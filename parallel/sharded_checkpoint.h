#ifndef EQUIPOISE_PARALLEL_SHARDED_CHECKPOINT_H_
#define EQUIPOISE_PARALLEL_SHARDED_CHECKPOINT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/io/checkpoint_directory.h"
#include "core/io/file_system.h"
#include "core/io/manifest.h"
#include "parallel/data_record.h"
#include "parallel/router_record.h"
#include "parallel/train_step.h"

namespace equipoise::parallel {

// Where a run stands.
struct TrainPosition {
  int64_t step = 0;  // steps done
  int64_t tokens_seen = 0;
  int64_t samples_seen = 0;  // the next step starts at this sample of the data
};

// Saves and loads everything a run needs to go on: parameters, AdamW's moments, the previous
// step's router statistics, the position. On disk every tensor is whole and has its logical name
// (one tensor per expert; moments are `exp_avg.NAME` and `exp_avg_sq.NAME`), so a checkpoint loads
// on any number of ranks, whoever owned what. Each rank writes its share of the tensors into files
// of its own.
//
// Every (tensor, shape) of the model must be there exactly once, checked at save and at load
// before anything is changed; every tensor is checked against its hash as it is read.
//
// All calls are collective over the world. `step`, `files` and `directory` must outlive it.
class ShardedCheckpoint {
 public:
  struct Options {
    std::string config_hash;
    // Figures that decide tensors' shapes, to explain a mismatch: {"hidden", 256}, ...
    std::map<std::string, int64_t> model;
    std::map<std::string, int64_t> layout;
    RunData data = {};              // of the first rank
    std::optional<int> nodes = {};  // see parallel/node_record.h
  };
  ShardedCheckpoint(FileSystem& files, CheckpointDirectory& directory, TrainStep& step,
                    Options options)
      : files_(files), directory_(directory), step_(step), options_(std::move(options)) {}

  // Writes the checkpoint of `position` and returns its path. On error what was there stays valid,
  // every rank gets the same status, and training can go on.
  absl::StatusOr<std::string> Save(const TrainPosition& position);

  // Replaces the state of the run by the checkpoint's. FailedPrecondition when it is of another
  // model or router (parallel/router_record.h), DataLoss when a file is damaged; the run's state is
  // then unspecified.
  absl::StatusOr<TrainPosition> Load(const Checkpoint& checkpoint);
  // What the last Load has to tell: losses or biases that the checkpoint's run did not have.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  // A logical tensor of this rank, where it lies, and who of its holders writes it.
  struct Piece {
    std::string name;
    std::vector<int64_t> shape;
    ParameterGroup group = ParameterGroup::kReplicated;
    int64_t begin = 0;  // in the group's flat buffers
    int64_t size = 0;
    bool mine = false;
  };
  // One of the three arrays that a checkpoint holds of every parameter.
  struct Array {
    std::string prefix;  // of names: "", "exp_avg.", "exp_avg_sq."
    std::map<ParameterGroup, ConstTensorView> flat;
  };

  std::vector<Piece> Pieces() const;
  absl::StatusOr<std::vector<Array>> GatherArrays();
  absl::Status WriteFile(const std::string& path, const std::vector<Piece>& pieces,
                         std::span<const Array> arrays, Manifest& written);
  absl::Status WriteOwnFiles(const std::string& path, Manifest& written);
  absl::Status Commit(const std::string& path, const TrainPosition& position,
                      const std::vector<std::string>& written,
                      const std::vector<std::string>& expected);
  absl::Status CheckAgainstModel(const Checkpoint& checkpoint);
  absl::Status ReadValues(const Checkpoint& checkpoint);
  absl::Status ReadMoments(const Checkpoint& checkpoint, const std::string& prefix,
                           ParameterGroup group, TensorView shard);
  absl::Status RestoreRouters(const RestoredRouters& routers);
  absl::StatusOr<const SafetensorsReader*> ReaderOf(const Checkpoint& checkpoint,
                                                    const std::string& tensor);
  std::string NamesAndShapes() const;

  FileSystem& files_;
  CheckpointDirectory& directory_;
  TrainStep& step_;
  const Options options_;
  std::map<std::string, std::unique_ptr<SafetensorsReader>> readers_;  // while loading, by file
  std::vector<std::string> warnings_;
  std::map<std::string, const ManifestTensor*> tensors_;  // while loading, by name
};

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_SHARDED_CHECKPOINT_H_
