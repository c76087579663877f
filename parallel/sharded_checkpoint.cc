#include "parallel/sharded_checkpoint.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "comm/collectives.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "nlohmann/json.hpp"
#include "parallel/data_record.h"
#include "parallel/node_record.h"
#include "parallel/text_exchange.h"

namespace equipoise::parallel {
namespace {

constexpr std::array<ParameterGroup, kNumParameterGroups> kGroups = {ParameterGroup::kReplicated,
                                                                     ParameterGroup::kExpert};
constexpr char kWriterVersion[] = "equipoise 0.1";

std::vector<int64_t> Extents(const Shape& shape) {
  std::vector<int64_t> extents;
  for (int axis = 0; axis < shape.rank(); ++axis) extents.push_back(shape[axis]);
  return extents;
}

// The tensors a complete checkpoint has, from what each rank holds of the model.
absl::StatusOr<std::vector<ExpectedTensor>> ExpectedTensors(
    const std::vector<std::string>& names_and_shapes) {
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const std::string& text : names_and_shapes) {
    for (const auto& item : nlohmann::json::parse(text)) {
      shapes[item.at(0).get<std::string>()] = item.at(1).get<std::vector<int64_t>>();
    }
  }
  std::vector<ExpectedTensor> expected;
  for (const char* prefix : {"", "exp_avg.", "exp_avg_sq."}) {
    for (const auto& [name, shape] : shapes) expected.push_back({prefix + name, shape});
  }
  return expected;
}

}  // namespace

std::vector<ShardedCheckpoint::Piece> ShardedCheckpoint::Pieces() const {
  std::vector<Piece> pieces;
  // Holders take turns by tensor, so that no rank writes much more than its share.
  std::map<ParameterGroup, int> turn;
  for (const auto& parameter : step_.parameters().parameters()) {
    int64_t begin = parameter->offset();
    const ParameterGroup group = parameter->spec().group;
    const comm::Communicator& holders = step_.mesh().replicas(group);
    for (const LogicalTensor& part : parameter->spec().parts) {
      Piece piece;
      piece.name = part.name;
      piece.shape = Extents(part.shape);
      piece.group = group;
      piece.begin = begin;
      piece.size = part.shape.num_elements();
      piece.mine = turn[group]++ % holders.size() == holders.rank();
      begin += piece.size;
      pieces.push_back(std::move(piece));
    }
  }
  return pieces;
}

std::string ShardedCheckpoint::NamesAndShapes() const {
  nlohmann::json list = nlohmann::json::array();
  for (const Piece& piece : Pieces()) list.push_back({piece.name, piece.shape});
  return list.dump();
}

absl::StatusOr<std::vector<ShardedCheckpoint::Array>> ShardedCheckpoint::GatherArrays() {
  std::vector<Array> arrays(3);
  arrays[0].prefix = "";
  arrays[1].prefix = "exp_avg.";
  arrays[2].prefix = "exp_avg_sq.";
  const Context& context = step_.context();
  for (const ParameterGroup group : kGroups) {
    const TensorView values = step_.parameters().values(group);
    arrays[0].flat[group] = values;
    const TensorView shards[] = {step_.optimizer().first_moment(group),
                                 step_.optimizer().second_moment(group)};
    for (size_t i = 0; i < 2; ++i) {
      const TensorView flat = context.scratch->Allocate(values.dtype(), values.shape());
      EQ_RETURN_IF_ERROR(step_.sync().GatherShard(context, group, shards[i], flat));
      arrays[i + 1].flat[group] = flat;
    }
  }
  return arrays;
}

absl::Status ShardedCheckpoint::WriteFile(const std::string& path, const std::vector<Piece>& pieces,
                                          std::span<const Array> arrays, Manifest& written) {
  std::vector<SafetensorsSpec> specs;
  std::map<std::string, ConstTensorView> sources;
  for (const Array& array : arrays) {
    for (const Piece& piece : pieces) {
      if (!piece.mine) continue;
      const ConstTensorView source =
          array.flat.at(piece.group).Rows(piece.begin, piece.begin + piece.size);
      const std::string name = array.prefix + piece.name;
      specs.push_back({name, ToSafetensors(source.dtype()), piece.shape});
      sources[name] = source;
    }
  }
  EQ_ASSIGN_OR_RETURN(const auto writer, SafetensorsWriter::Create(files_, path, std::move(specs)));
  std::vector<std::byte> host;
  for (const SafetensorsEntry& entry : writer->order()) {
    const ConstTensorView source = sources.at(entry.spec.name);
    host.resize(source.num_bytes());
    step_.context().device->CopyToHost(host.data(), source.raw(), host.size());
    EQ_RETURN_IF_ERROR(writer->Write(entry.spec.name, host));
  }
  EQ_ASSIGN_OR_RETURN(const std::vector<WrittenTensor> tensors, writer->Finish());
  written.AddFile(BaseNameOf(path), writer->file_bytes(), tensors);
  return absl::OkStatus();
}

absl::Status ShardedCheckpoint::WriteOwnFiles(const std::string& path, Manifest& written) {
  const WorkspaceFrame frame(*step_.context().scratch);
  EQ_ASSIGN_OR_RETURN(const std::vector<Array> arrays, GatherArrays());
  const comm::Communicator& world = step_.mesh().world();
  const std::string suffix =
      absl::StrFormat("-%05d-of-%05d.safetensors", world.rank() + 1, world.size());
  const std::vector<Piece> pieces = Pieces();
  const std::span<const Array> all(arrays);
  EQ_RETURN_IF_ERROR(
      WriteFile(JoinPath(path, "model" + suffix), pieces, all.subspan(0, 1), written));
  return WriteFile(JoinPath(path, "optimizer" + suffix), pieces, all.subspan(1), written);
}

absl::Status ShardedCheckpoint::Commit(const std::string& path, const TrainPosition& position,
                                       const std::vector<std::string>& written,
                                       const std::vector<std::string>& expected) {
  Manifest manifest;
  manifest.step = position.step;
  manifest.tokens = position.tokens_seen;
  manifest.config_hash = options_.config_hash;
  manifest.writer_version = kWriterVersion;
  manifest.model = options_.model;
  manifest.layout = options_.layout;
  manifest.world_size = step_.mesh().world().size();
  for (size_t rank = 0; rank < written.size(); ++rank) {
    EQ_ASSIGN_OR_RETURN(const Manifest part,
                        ParseManifest(written[rank], absl::StrCat("files of rank ", rank)));
    manifest.files.insert(manifest.files.end(), part.files.begin(), part.files.end());
    manifest.tensors.insert(manifest.tensors.end(), part.tensors.begin(), part.tensors.end());
  }
  manifest.state["samples_seen"] = position.samples_seen;
  RecordRouters(step_.model(), step_.statistics(), manifest);
  RecordData(options_.data, manifest);
  if (options_.nodes.has_value()) RecordNodes(*options_.nodes, manifest);
  EQ_ASSIGN_OR_RETURN(const std::vector<ExpectedTensor> tensors, ExpectedTensors(expected));
  EQ_RETURN_IF_ERROR(CheckComplete(manifest, options_.model, tensors, path));
  return directory_.Commit(path, manifest).status();
}

absl::StatusOr<std::string> ShardedCheckpoint::Save(const TrainPosition& position) {
  comm::Communicator& world = step_.mesh().world();
  const Context& context = step_.context();
  const bool first = world.rank() == 0;
  const comm::WaitPlace place = {.step = position.step};
  const comm::WaitOptions written_by_all = {.name = "files of a checkpoint", .place = place};
  absl::StatusOr<std::string> begun = std::string();
  if (first) begun = directory_.Begin(position.step);
  EQ_RETURN_IF_ERROR(comm::AgreeOnStatus(world, context, begun.status(),
                                         {.name = "directory of a checkpoint", .place = place}));
  EQ_ASSIGN_OR_RETURN(const std::string path,
                      BroadcastText(world, context, *begun, 0,
                                    {.name = "directory of a checkpoint", .place = place}));

  Manifest own;
  absl::Status status =
      comm::AgreeOnStatus(world, context, WriteOwnFiles(path, own), written_by_all);
  if (status.ok()) {
    EQ_ASSIGN_OR_RETURN(const std::string text, ManifestToJson(own));
    EQ_ASSIGN_OR_RETURN(const auto written, GatherTexts(world, context, text, written_by_all));
    EQ_ASSIGN_OR_RETURN(const auto expected,
                        GatherTexts(world, context, NamesAndShapes(), written_by_all));
    if (first) status = Commit(path, position, written, expected);
    status = comm::AgreeOnStatus(world, context, status,
                                 {.name = "commit of a checkpoint", .place = place});
  }
  if (!status.ok()) {
    // The half-written directory carries a temporary name: leaving it behind is untidy, not wrong.
    if (first) directory_.Abandon(path).IgnoreError();
    return status;
  }
  return JoinPath(directory_.path(), CheckpointName(position.step));
}

absl::Status ShardedCheckpoint::CheckAgainstModel(const Checkpoint& checkpoint) {
  comm::Communicator& world = step_.mesh().world();
  EQ_ASSIGN_OR_RETURN(const auto held, GatherTexts(world, step_.context(), NamesAndShapes(),
                                                   {.name = "names of the model's tensors"}));
  EQ_ASSIGN_OR_RETURN(const std::vector<ExpectedTensor> expected, ExpectedTensors(held));
  return CheckComplete(checkpoint.manifest, options_.model, expected, checkpoint.path);
}

absl::StatusOr<const SafetensorsReader*> ShardedCheckpoint::ReaderOf(const Checkpoint& checkpoint,
                                                                     const std::string& tensor) {
  const ManifestTensor& listed = *tensors_.at(tensor);
  std::unique_ptr<SafetensorsReader>& reader = readers_[listed.file];
  if (reader == nullptr) {
    EQ_ASSIGN_OR_RETURN(reader,
                        SafetensorsReader::Open(files_, JoinPath(checkpoint.path, listed.file)));
  }
  EQ_RETURN_IF_ERROR(VerifyTensor(*reader, listed));
  return reader.get();
}

absl::Status ShardedCheckpoint::ReadValues(const Checkpoint& checkpoint) {
  std::vector<std::byte> host;
  for (const Piece& piece : Pieces()) {
    EQ_ASSIGN_OR_RETURN(const SafetensorsReader* reader, ReaderOf(checkpoint, piece.name));
    const TensorView target =
        step_.parameters().values(piece.group).Rows(piece.begin, piece.begin + piece.size);
    host.resize(target.num_bytes());
    EQ_RETURN_IF_ERROR(
        reader->ReadBytes(piece.name, ToSafetensors(target.dtype()), piece.shape, host));
    step_.context().device->CopyFromHost(target.raw(), host.data(), host.size());
  }
  return absl::OkStatus();
}

absl::Status ShardedCheckpoint::ReadMoments(const Checkpoint& checkpoint, const std::string& prefix,
                                            ParameterGroup group, TensorView shard) {
  std::vector<std::byte> host;
  const size_t element = SizeOf(shard.dtype());
  for (const Piece& piece : Pieces()) {
    if (piece.group != group) continue;
    bool loaded = false;
    for (const Bucket& bucket : step_.sync().sharding(group).buckets) {
      const int64_t begin = std::max(bucket.owned_begin, piece.begin);
      const int64_t end =
          std::min(bucket.owned_begin + bucket.owned_size, piece.begin + piece.size);
      if (begin >= end) continue;
      if (!loaded) {
        const std::string name = prefix + piece.name;
        EQ_ASSIGN_OR_RETURN(const SafetensorsReader* reader, ReaderOf(checkpoint, name));
        host.resize(static_cast<size_t>(piece.size) * element);
        EQ_RETURN_IF_ERROR(
            reader->ReadBytes(name, ToSafetensors(shard.dtype()), piece.shape, host));
        loaded = true;
      }
      const int64_t to = bucket.shard_begin + (begin - bucket.owned_begin);
      const TensorView target = shard.Rows(to, to + (end - begin));
      step_.context().device->CopyFromHost(
          target.raw(), host.data() + static_cast<size_t>(begin - piece.begin) * element,
          target.num_bytes());
    }
  }
  return absl::OkStatus();
}

absl::Status ShardedCheckpoint::RestoreRouters(const RestoredRouters& routers) {
  EQ_RETURN_IF_ERROR(step_.statistics().ImportPrevious(routers.sums, routers.tokens));
  for (size_t i = 0; i < routers.states.size(); ++i) {
    EQ_RETURN_IF_ERROR(
        step_.model().moe_layer(static_cast<int>(i)).router().SetState(routers.states[i]));
  }
  return absl::OkStatus();
}

absl::StatusOr<TrainPosition> ShardedCheckpoint::Load(const Checkpoint& checkpoint) {
  const Manifest& manifest = checkpoint.manifest;
  EQ_RETURN_IF_ERROR(CheckRouterKinds(manifest, checkpoint.path, step_.model()));
  EQ_RETURN_IF_ERROR(CheckAgainstModel(checkpoint));
  const auto samples = manifest.state.find("samples_seen");
  if (samples == manifest.state.end() || !samples->is_number_integer()) {
    return absl::DataLossError(
        absl::StrCat("checkpoint '", checkpoint.path, "': its manifest lacks samples_seen"));
  }
  EQ_ASSIGN_OR_RETURN(RestoredRouters routers,
                      ReadRouters(manifest, checkpoint.path, step_.model(), step_.statistics()));
  for (const ManifestTensor& tensor : manifest.tensors) {
    tensors_[tensor.spec.name] = &tensor;
  }
  const auto read = [&]() -> absl::Status {
    EQ_RETURN_IF_ERROR(ReadValues(checkpoint));
    for (const ParameterGroup group : kGroups) {
      EQ_RETURN_IF_ERROR(
          ReadMoments(checkpoint, "exp_avg.", group, step_.optimizer().first_moment(group)));
      EQ_RETURN_IF_ERROR(
          ReadMoments(checkpoint, "exp_avg_sq.", group, step_.optimizer().second_moment(group)));
    }
    return RestoreRouters(routers);
  };
  const absl::Status status =
      comm::AgreeOnStatus(step_.mesh().world(), step_.context(), read(),
                          {.name = "reading a checkpoint", .place = {.step = checkpoint.step}});
  tensors_.clear();
  readers_.clear();
  EQ_RETURN_IF_ERROR(status);
  warnings_ = std::move(routers.warnings);
  TrainPosition position;
  position.step = manifest.step;
  position.tokens_seen = manifest.tokens;
  position.samples_seen = samples->get<int64_t>();
  return position;
}

}  // namespace equipoise::parallel
