#ifndef EQUIPOISE_CORE_IO_SAFETENSORS_H_
#define EQUIPOISE_CORE_IO_SAFETENSORS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/io/file_system.h"
#include "core/io/hash.h"
#include "core/tensor/dtype.h"

// Hugging Face's safetensors format (https://github.com/huggingface/safetensors):
//   u64 little-endian N | N bytes of JSON header, padded with spaces | data
// The header maps each tensor's name to {dtype, shape, data_offsets: [begin, end)}, offsets counted
// from the start of the data, and `__metadata__` to an object of strings.

namespace equipoise {

// Element types of the format, in the order of Hugging Face's enumeration: its writer sorts
// tensors by this, largest first, which aligns every tensor to its element.
enum class SafetensorsDType : uint8_t {
  kBool,
  kF4,
  kF6E2M3,
  kF6E3M2,
  kU8,
  kI8,
  kF8E5M2,
  kF8E4M3,
  kF8E8M0,
  kF8E4M3Fnuz,
  kF8E5M2Fnuz,
  kI16,
  kU16,
  kF16,
  kBF16,
  kI32,
  kU32,
  kF32,
  kC64,
  kF64,
  kI64,
  kU64,
};
// Bits of an element.
int BitsOf(SafetensorsDType dtype);
// As headers spell it, for example "BF16".
std::string Name(SafetensorsDType dtype);
std::optional<SafetensorsDType> SafetensorsDTypeFromName(std::string_view name);
SafetensorsDType ToSafetensors(DType dtype);

// What a file holds under one name.
struct SafetensorsSpec {
  std::string name;
  SafetensorsDType dtype = SafetensorsDType::kF32;
  std::vector<int64_t> shape;  // empty: a scalar, one element
};

// "[2, 3]"
std::string ShapeToString(const std::vector<int64_t>& shape);

// Bytes of a tensor; an error if they overflow 63 bits, an extent is negative, or they are not
// whole (types of less than eight bits).
absl::StatusOr<uint64_t> SafetensorsBytes(SafetensorsDType dtype,
                                          const std::vector<int64_t>& shape);

struct SafetensorsEntry {
  SafetensorsSpec spec;
  uint64_t begin = 0;  // [begin, end) of the file's data
  uint64_t end = 0;
  uint64_t num_bytes() const { return end - begin; }
};

// A header as read: the tensors in the order of their data, and the free-form metadata.
struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;
  std::map<std::string, std::string> metadata;
  uint64_t data_start = 0;  // bytes of the file before the data
};

// Parses and checks everything but the data. `file_bytes` may be any bytes at all; `label` names
// them in errors. DataLoss, naming the tensor and the offset in the file, if: the file is shorter
// than its header; N > 100,000,000; the header is no JSON object of the format's form, in UTF-8,
// starting with '{'; a key occurs twice; a dtype is unknown; shape and dtype do not give the bytes
// that data_offsets spans, or overflow; the tensors overlap, leave holes, or do not end at the end
// of the file. The header may list tensors in any order. Scalars and empty tensors are legal.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(std::span<const std::byte> file_bytes,
                                                         const std::string& label);

// A file open for reading, mapped. Immutable, hence thread-safe; owns the mapping.
class SafetensorsReader {
 public:
  static absl::StatusOr<std::unique_ptr<SafetensorsReader>> Open(const FileSystem& file_system,
                                                                 const std::string& path);

  const std::string& path() const { return path_; }
  // In the order of their data.
  const std::vector<SafetensorsEntry>& entries() const { return header_.entries; }
  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }
  // Null if the file has no such tensor.
  const SafetensorsEntry* Find(const std::string& name) const;
  // The like, but NotFound naming the file and the tensor.
  absl::StatusOr<const SafetensorsEntry*> Get(const std::string& name) const;

  // A tensor's bytes in the mapping, row-major and little-endian. Not aligned: memcpy them, or use
  // the functions below. REQUIRES: `entry` is one of entries().
  std::span<const std::byte> Bytes(const SafetensorsEntry& entry) const;

  // Copies a tensor whose dtype must be T's and whose shape must be `shape`; InvalidArgument naming
  // both otherwise. T: float, double, int32_t, int64_t or uint8_t.
  // REQUIRES: out.size() = the shape's elements.
  template <typename T>
  absl::Status Read(const std::string& name, const std::vector<int64_t>& shape,
                    std::span<T> out) const {
    return ReadBytes(name, ToSafetensors(DTypeOf<T>::value), shape, std::as_writable_bytes(out));
  }
  // The same for any dtype of the format.
  absl::Status ReadBytes(const std::string& name, SafetensorsDType dtype,
                         const std::vector<int64_t>& shape, std::span<std::byte> out) const;
  // Converts F32, BF16, F16 (all exactly) or F64 (rounded to nearest even) to float.
  absl::Status ReadAsFloat(const std::string& name, const std::vector<int64_t>& shape,
                           std::span<float> out) const;

 private:
  SafetensorsReader(std::string path, std::unique_ptr<FileView> view, SafetensorsHeader header);
  absl::StatusOr<const SafetensorsEntry*> GetWithShape(const std::string& name,
                                                       const std::vector<int64_t>& shape) const;

  const std::string path_;
  const std::unique_ptr<FileView> view_;
  const SafetensorsHeader header_;
  std::unordered_map<std::string, const SafetensorsEntry*> by_name_;  // into header_
};

// What a writer wrote, for the manifest: an entry and the XXH3-64 of its bytes.
struct WrittenTensor {
  SafetensorsEntry entry;
  uint64_t hash = 0;
};

// Writes a file whose tensors are declared first and whose data then comes in order, in pieces of
// any size: nothing is held but the header. Byte for byte what Hugging Face's writer makes of the
// same tensors, if `metadata` has at most one key (its own order of keys is random). Not
// thread-safe. A file without a successful Finish is to be removed by the caller.
class SafetensorsWriter {
 public:
  // Writes the header. InvalidArgument for a name twice, the name "__metadata__", text that is not
  // UTF-8, or a shape SafetensorsBytes refuses. `file_system` must outlive the writer.
  static absl::StatusOr<std::unique_ptr<SafetensorsWriter>> Create(
      FileSystem& file_system, const std::string& path, std::vector<SafetensorsSpec> tensors,
      const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

  // In the order their data must come: dtype descending, then name.
  const std::vector<SafetensorsEntry>& order() const { return order_; }
  // Size of the finished file.
  uint64_t file_bytes() const { return file_bytes_; }

  // The next bytes of `name`, which must be the first unfinished tensor of order(); one tensor may
  // come in several calls. FailedPrecondition naming the expected tensor, or its bytes left, if
  // not. Empty tensors may be left out.
  absl::Status Write(const std::string& name, std::span<const std::byte> bytes);
  // Syncs and closes the file. FailedPrecondition naming the first tensor that is not complete.
  absl::StatusOr<std::vector<WrittenTensor>> Finish();

 private:
  SafetensorsWriter(std::string path, std::unique_ptr<WritableFile> file,
                    std::vector<SafetensorsEntry> order, uint64_t file_bytes);
  // Steps over tensors that have all their bytes.
  void SkipComplete();

  const std::string path_;
  const std::unique_ptr<WritableFile> file_;
  const std::vector<SafetensorsEntry> order_;
  const uint64_t file_bytes_;
  size_t current_ = 0;    // index in order_
  uint64_t written_ = 0;  // bytes of the current tensor
  Xxh3Stream stream_;     // of the current tensor
  std::vector<uint64_t> hashes_;
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_IO_SAFETENSORS_H_
