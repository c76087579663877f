#ifndef EQUIPOISE_CORE_IO_MANIFEST_H_
#define EQUIPOISE_CORE_IO_MANIFEST_H_

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/io/safetensors.h"

// MANIFEST.json: what a checkpoint holds. It is written last, so a checkpoint that has one was
// written to its end; docs/checkpoints.md describes every key.

namespace equipoise {

struct ManifestFile {
  std::string name;  // in the checkpoint's directory; no '/'
  uint64_t num_bytes = 0;
};

struct ManifestTensor {
  SafetensorsSpec spec;
  std::string file;
  uint64_t hash = 0;  // XXH3-64 of its bytes
};

struct Manifest {
  static constexpr char kFileName[] = "MANIFEST.json";

  int64_t step = 0;
  int64_t tokens = 0;          // seen in training so far
  std::string config_hash;     // of the resolved configuration
  std::string writer_version;  // of Equipoise
  // The figures that decide every tensor's shape, for example {"layers", 4}, {"experts", 8}: so
  // that a mismatch is told in the model's terms.
  std::map<std::string, int64_t> model;
  int64_t world_size = 1;
  // How the work was laid out, for example {"expert_parallel", 4}. For the reader's information:
  // a checkpoint loads on any layout.
  std::map<std::string, int64_t> layout;
  std::vector<ManifestFile> files;
  std::vector<ManifestTensor> tensors;
  // Whatever else a resume needs (data position, seed, statistics of the previous step); an object.
  // Integers keep all 64 bits and finite doubles every bit. Infinities and NaNs become null: use
  // DoublesToJson where they may occur.
  nlohmann::json state = nlohmann::json::object();

  // Appends a finished safetensors file and its tensors.
  void AddFile(const std::string& file_name, uint64_t num_bytes,
               const std::vector<WrittenTensor>& written);
};

// The file's text: {"checksum": XXH3-64 of the manifest's compact JSON, "manifest": {...}}.
// InvalidArgument if text in it is not UTF-8.
absl::StatusOr<std::string> ManifestToJson(const Manifest& manifest);

// DataLoss naming `label` and the key at fault if the text is no JSON, its checksum does not match,
// a key is missing, unknown or of a wrong type, a name occurs twice, a file's name has a '/', or a
// tensor lies in a file that is not listed.
absl::StatusOr<Manifest> ParseManifest(std::string_view text, const std::string& label);

struct ExpectedTensor {
  std::string name;
  std::vector<int64_t> shape;
};

// Whether the manifest has exactly the `expected` tensors in their shapes, and was written for the
// model `model` describes (empty: not compared). FailedPrecondition otherwise: one message that
// starts with `label` and names every differing figure of the model and up to ten missing,
// unexpected and mis-shaped tensors each, with how many there are, and ends with what to do.
absl::Status CheckComplete(const Manifest& manifest, const std::map<std::string, int64_t>& model,
                           std::span<const ExpectedTensor> expected, const std::string& label);

// Whether `reader` holds the tensor a manifest describes: its dtype, shape and every bit. DataLoss
// naming file, tensor and the tensor's offset otherwise.
absl::Status VerifyTensor(const SafetensorsReader& reader, const ManifestTensor& tensor);

// Exact doubles in JSON, with "nan", "inf" and "-inf" for those JSON has no numbers for.
nlohmann::json DoublesToJson(std::span<const double> values);
// InvalidArgument if `json` is not such an array.
absl::StatusOr<std::vector<double>> DoublesFromJson(const nlohmann::json& json);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_IO_MANIFEST_H_
