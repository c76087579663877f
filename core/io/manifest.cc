#include "core/io/manifest.h"

#include <cmath>
#include <limits>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/io/hash.h"

namespace equipoise {
namespace {

using nlohmann::json;

constexpr int64_t kFormat = 1;
constexpr int kMaxDepth = 32;  // of nesting; keeps hostile files from exhausting the stack

// The first thing wrong while reading a manifest; what follows reads as defaults.
class Problem {
 public:
  void Set(const std::string& what) {
    if (what_.empty()) what_ = what;
  }
  const std::string& what() const { return what_; }
  bool found() const { return !what_.empty(); }

 private:
  std::string what_;
};

// One JSON object whose keys are all taken, each once.
class ObjectReader {
 public:
  ObjectReader(const json& object, std::string where, Problem& problem)
      : object_(object), where_(std::move(where)), problem_(problem) {
    if (!object.is_object()) problem_.Set(absl::StrCat(where_, " is not an object"));
  }

  // Null if missing (a problem).
  const json* Take(const char* key) {
    ++num_taken_;
    const auto found = object_.is_object() ? object_.find(key) : object_.end();
    if (found != object_.end()) return &*found;
    problem_.Set(absl::StrCat(where_, " has no key '", key, "'"));
    return nullptr;
  }

  std::string String(const char* key) {
    const json* value = Take(key);
    if (value == nullptr) return "";
    if (value->is_string()) return value->get<std::string>();
    problem_.Set(absl::StrCat("'", key, "' of ", where_, " is not a string"));
    return "";
  }

  int64_t Count(const char* key) {
    const json* value = Take(key);
    if (value == nullptr) return 0;
    if (value->is_number_unsigned() &&
        value->get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return value->get<int64_t>();
    }
    problem_.Set(absl::StrCat("'", key, "' of ", where_, " is not a count"));
    return 0;
  }

  std::map<std::string, int64_t> Integers(const char* key) {
    std::map<std::string, int64_t> result;
    const json* value = Take(key);
    if (value == nullptr) return result;
    if (!value->is_object()) problem_.Set(absl::StrCat("'", key, "' is not an object"));
    if (problem_.found()) return result;
    for (const auto& [name, number] : value->items()) {
      if (!number.is_number_integer()) {
        problem_.Set(absl::StrCat("'", name, "' of '", key, "' is not an integer"));
        return result;
      }
      result[name] = number.get<int64_t>();
    }
    return result;
  }

  // An array; empty after a problem.
  const json& Array(const char* key) {
    static const json& kEmpty = *new json(json::array());
    const json* value = Take(key);
    if (value != nullptr && value->is_array()) return *value;
    problem_.Set(absl::StrCat("'", key, "' of ", where_, " is not an array"));
    return kEmpty;
  }

  void Finish() {
    if (object_.is_object() && object_.size() != num_taken_) {
      problem_.Set(absl::StrCat(where_, " has ", object_.size(), " keys, not ", num_taken_));
    }
  }

 private:
  const json& object_;
  const std::string where_;
  Problem& problem_;
  size_t num_taken_ = 0;
};

json TensorToJson(const ManifestTensor& tensor) {
  return json{{"name", tensor.spec.name},
              {"file", tensor.file},
              {"dtype", Name(tensor.spec.dtype)},
              {"shape", tensor.spec.shape},
              {"xxh3", HashToHex(tensor.hash)}};
}

json BodyToJson(const Manifest& manifest) {
  json files = json::array();
  for (const ManifestFile& file : manifest.files) {
    files.push_back(json{{"name", file.name}, {"bytes", file.num_bytes}});
  }
  json tensors = json::array();
  for (const ManifestTensor& tensor : manifest.tensors) tensors.push_back(TensorToJson(tensor));
  return json{{"format", kFormat},
              {"step", manifest.step},
              {"tokens", manifest.tokens},
              {"config_hash", manifest.config_hash},
              {"writer_version", manifest.writer_version},
              {"model", manifest.model},
              {"world_size", manifest.world_size},
              {"layout", manifest.layout},
              {"files", std::move(files)},
              {"tensors", std::move(tensors)},
              {"state", manifest.state}};
}

ManifestTensor TensorFromJson(const json& value, size_t index, Problem& problem) {
  ManifestTensor tensor;
  ObjectReader reader(value, absl::StrCat("tensor ", index), problem);
  tensor.spec.name = reader.String("name");
  tensor.file = reader.String("file");
  const auto dtype = SafetensorsDTypeFromName(reader.String("dtype"));
  const auto hash = HashFromHex(reader.String("xxh3"));
  const json& shape = reader.Array("shape");
  reader.Finish();
  const std::string where = absl::StrCat("tensor '", tensor.spec.name, "'");
  if (!dtype.has_value()) problem.Set(where + " has an unknown dtype");
  if (!hash.has_value()) problem.Set(where + " has a hash that is not 16 hexadecimal digits");
  if (problem.found()) return tensor;
  for (const json& extent : shape) {
    if (!extent.is_number_unsigned()) {
      problem.Set(where + " has a shape that is not made of counts");
      return tensor;
    }
    tensor.spec.shape.push_back(extent.get<int64_t>());
  }
  tensor.spec.dtype = *dtype;
  tensor.hash = *hash;
  if (!SafetensorsBytes(*dtype, tensor.spec.shape).ok()) problem.Set(where + " is too large");
  return tensor;
}

void ReadFiles(const json& array, Manifest& manifest, Problem& problem) {
  std::unordered_set<std::string> names;
  for (const json& value : array) {
    if (problem.found()) return;
    ObjectReader reader(value, absl::StrCat("file ", manifest.files.size()), problem);
    ManifestFile file{reader.String("name"), static_cast<uint64_t>(reader.Count("bytes"))};
    reader.Finish();
    if (file.name.empty() || file.name == "." || file.name == ".." ||
        file.name.find('/') != std::string::npos) {
      problem.Set(absl::StrCat("'", file.name, "' is no name of a file"));
    }
    if (!names.insert(file.name).second) {
      problem.Set(absl::StrCat("file '", file.name, "' occurs twice"));
    }
    manifest.files.push_back(std::move(file));
  }
}

void ReadTensors(const json& array, Manifest& manifest, Problem& problem) {
  std::unordered_set<std::string> files;
  for (const ManifestFile& file : manifest.files) files.insert(file.name);
  std::unordered_set<std::string> names;
  for (const json& value : array) {
    if (problem.found()) return;
    ManifestTensor tensor = TensorFromJson(value, manifest.tensors.size(), problem);
    if (files.count(tensor.file) == 0) {
      problem.Set(absl::StrCat("tensor '", tensor.spec.name, "' lies in file '", tensor.file,
                               "', which is not listed"));
    }
    if (!names.insert(tensor.spec.name).second) {
      problem.Set(absl::StrCat("tensor '", tensor.spec.name, "' occurs twice"));
    }
    manifest.tensors.push_back(std::move(tensor));
  }
}

Manifest BodyFromJson(const json& body, Problem& problem) {
  Manifest manifest;
  ObjectReader reader(body, "the manifest", problem);
  const int64_t format = reader.Count("format");
  if (!problem.found() && format != kFormat) {
    problem.Set(absl::StrCat("its format is ", format, "; this version reads ", kFormat));
    return manifest;
  }
  manifest.step = reader.Count("step");
  manifest.tokens = reader.Count("tokens");
  manifest.config_hash = reader.String("config_hash");
  manifest.writer_version = reader.String("writer_version");
  manifest.model = reader.Integers("model");
  manifest.world_size = reader.Count("world_size");
  manifest.layout = reader.Integers("layout");
  ReadFiles(reader.Array("files"), manifest, problem);
  ReadTensors(reader.Array("tensors"), manifest, problem);
  if (const json* state = reader.Take("state"); state != nullptr) {
    if (!state->is_object()) problem.Set("'state' is not an object");
    manifest.state = *state;
  }
  reader.Finish();
  return manifest;
}

// {checksum, manifest} with nothing deeper than kMaxDepth, or a problem.
json ParseEnvelope(std::string_view text, Problem& problem) {
  const auto limit_depth = [&](int depth, json::parse_event_t, json&) {
    if (depth > kMaxDepth) problem.Set("it is nested too deep");
    return depth <= kMaxDepth;
  };
  json envelope = json::parse(text.begin(), text.end(), limit_depth, /*allow_exceptions=*/false);
  // The parser takes a zero byte for the end of the text.
  if (text.find('\0') != std::string_view::npos) problem.Set("it has a zero byte");
  if (envelope.is_discarded()) problem.Set("it is not well-formed JSON");
  return envelope;
}

}  // namespace

void Manifest::AddFile(const std::string& file_name, uint64_t num_bytes,
                       const std::vector<WrittenTensor>& written) {
  files.push_back({file_name, num_bytes});
  for (const WrittenTensor& tensor : written) {
    tensors.push_back({tensor.entry.spec, file_name, tensor.hash});
  }
}

absl::StatusOr<std::string> ManifestToJson(const Manifest& manifest) {
  json body = BodyToJson(manifest);
  try {
    const std::string checksum = HashToHex(Xxh3(std::string_view(body.dump())));
    return json{{"checksum", checksum}, {"manifest", std::move(body)}}.dump(1) + "\n";
  } catch (const json::exception& exception) {
    return absl::InvalidArgumentError(
        absl::StrCat("a manifest has text that is not UTF-8: ", exception.what()));
  }
}

absl::StatusOr<Manifest> ParseManifest(std::string_view text, const std::string& label) {
  Problem problem;
  const json envelope = ParseEnvelope(text, problem);
  Manifest manifest;
  if (!problem.found()) {
    ObjectReader reader(envelope, "the file", problem);
    const std::string checksum = reader.String("checksum");
    const json* body = reader.Take("manifest");
    reader.Finish();
    if (!problem.found() && HashToHex(Xxh3(std::string_view(body->dump()))) != checksum) {
      problem.Set("its checksum does not match its contents");
    }
    if (!problem.found()) manifest = BodyFromJson(*body, problem);
  }
  if (!problem.found()) return manifest;
  return absl::DataLossError(absl::StrCat("'", label, "' is no valid manifest: ", problem.what()));
}

absl::Status VerifyTensor(const SafetensorsReader& reader, const ManifestTensor& tensor) {
  const SafetensorsEntry* entry = reader.Find(tensor.spec.name);
  if (entry == nullptr) {
    return absl::DataLossError(absl::StrCat("'", reader.path(), "' has no tensor '",
                                            tensor.spec.name, "', which the manifest lists"));
  }
  const std::string where = absl::StrCat("'", reader.path(), "': tensor '", tensor.spec.name,
                                         "' at data offset ", entry->begin, " ");
  if (entry->spec.dtype != tensor.spec.dtype || entry->spec.shape != tensor.spec.shape) {
    return absl::DataLossError(absl::StrCat(
        where, "is ", Name(entry->spec.dtype), " ", ShapeToString(entry->spec.shape),
        "; the manifest says ", Name(tensor.spec.dtype), " ", ShapeToString(tensor.spec.shape)));
  }
  const uint64_t hash = Xxh3(reader.Bytes(*entry));
  if (hash == tensor.hash) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(where, "has checksum ", HashToHex(hash),
                                          "; the manifest says ", HashToHex(tensor.hash)));
}

json DoublesToJson(std::span<const double> values) {
  json array = json::array();
  for (const double value : values) {
    if (std::isfinite(value)) {
      array.push_back(value);
    } else {
      array.push_back(std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
    }
  }
  return array;
}

absl::StatusOr<std::vector<double>> DoublesFromJson(const json& array) {
  if (!array.is_array()) return absl::InvalidArgumentError("not an array of numbers");
  std::vector<double> values;
  for (const json& value : array) {
    if (value.is_number()) {
      values.push_back(value.get<double>());
    } else if (value == "nan") {
      values.push_back(std::numeric_limits<double>::quiet_NaN());
    } else if (value == "inf" || value == "-inf") {
      const double infinity = std::numeric_limits<double>::infinity();
      values.push_back(value == "inf" ? infinity : -infinity);
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("element ", values.size(), " is not a number: ", value.dump()));
    }
  }
  return values;
}

}  // namespace equipoise
