// The header of a safetensors file: element types, parsing, and every check on it.

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/io/safetensors.h"

namespace equipoise {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr uint64_t kLengthBytes = 8;
constexpr char kMetadataKey[] = "__metadata__";

struct DTypeRow {
  const char* name;
  int bits;
};
// Indexed by SafetensorsDType.
constexpr std::array<DTypeRow, 22> kDTypes = {{
    {"BOOL", 8},        {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
    {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
    {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
    {"I32", 32},        {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},
    {"I64", 64},        {"U64", 64},
}};
static_assert(kDTypes.size() == static_cast<size_t>(SafetensorsDType::kU64) + 1);

// Reads the header's JSON event by event, so that a key that occurs twice is seen (a tree would
// keep the last) and nothing deeper than the format's three levels is ever built.
class HeaderHandler final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderHandler(SafetensorsHeader& header) : header_(header) {}

  const std::string& error() const { return error_; }
  // Byte of the header at which the JSON was malformed; 0 if it was well-formed.
  size_t error_position() const { return error_position_; }

  bool null() override { return Unexpected("null"); }
  bool boolean(bool) override { return Unexpected("a boolean"); }
  bool number_integer(number_integer_t value) override {
    return Unexpected(absl::StrCat("the negative number ", value).c_str());
  }
  bool number_float(number_float_t, const string_t& text) override {
    return Unexpected(absl::StrCat("the number ", text).c_str());
  }
  bool binary(binary_t&) override { return Unexpected("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (state_ == State::kShape) {
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        return Fail(absl::StrCat("extent ", value, " is too large"));
      }
      entry_.spec.shape.push_back(static_cast<int64_t>(value));
      return true;
    }
    if (state_ != State::kOffsets) return Unexpected("a number");
    if (num_offsets_ == 2) return Fail("data_offsets has more than two numbers");
    (num_offsets_++ == 0 ? entry_.begin : entry_.end) = value;
    return true;
  }

  bool string(string_t& value) override {
    if (state_ == State::kMetadata) {
      header_.metadata[key_] = value;
      return true;
    }
    if (state_ != State::kTensor || key_ != "dtype") return Unexpected("a string");
    const auto dtype = SafetensorsDTypeFromName(value);
    if (!dtype.has_value()) return Fail(absl::StrCat("unknown dtype '", value, "'"));
    entry_.spec.dtype = *dtype;
    return true;
  }

  bool start_object(std::size_t) override {
    if (state_ == State::kStart) {
      state_ = State::kTop;
    } else if (state_ == State::kTop) {
      state_ = key_ == kMetadataKey ? State::kMetadata : State::kTensor;
      keys_.clear();
      entry_ = SafetensorsEntry{};
      entry_.spec.name = key_;
    } else {
      return Unexpected("an object");
    }
    return true;
  }

  bool key(string_t& name) override {
    if (state_ == State::kTop) {
      if (!names_.insert(name).second) return Fail(absl::StrCat("key '", name, "' occurs twice"));
    } else if (!keys_.insert(name).second) {
      return Fail(absl::StrCat("key '", name, "' occurs twice"));
    }
    if (state_ == State::kTensor && name != "dtype" && name != "shape" && name != "data_offsets") {
      return Fail(absl::StrCat("unknown key '", name, "'"));
    }
    key_ = name;
    return true;
  }

  bool end_object() override {
    if (state_ == State::kTop) {
      state_ = State::kEnd;
      return true;
    }
    if (state_ == State::kTensor) {
      for (const char* key : {"dtype", "shape", "data_offsets"}) {
        if (keys_.count(key) == 0) return Fail(absl::StrCat("key '", key, "' is missing"));
      }
      header_.entries.push_back(entry_);
    }
    state_ = State::kTop;
    return true;
  }

  bool start_array(std::size_t) override {
    if (state_ != State::kTensor || key_ == "dtype") return Unexpected("an array");
    state_ = key_ == "shape" ? State::kShape : State::kOffsets;
    num_offsets_ = 0;
    return true;
  }

  bool end_array() override {
    if (state_ == State::kOffsets && num_offsets_ != 2) {
      return Fail("data_offsets has less than two numbers");
    }
    state_ = State::kTensor;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& exception) override {
    error_position_ = position;
    error_ = absl::StrCat("malformed JSON: ", exception.what());
    return false;
  }

 private:
  enum class State { kStart, kTop, kTensor, kMetadata, kShape, kOffsets, kEnd };

  bool Fail(const std::string& what) {
    const bool inside = state_ != State::kStart && state_ != State::kTop;
    error_ = inside ? absl::StrCat("tensor '", entry_.spec.name, "': ", what) : what;
    return false;
  }
  bool Unexpected(const char* what) {
    return Fail(absl::StrCat(what, " where the format has none"));
  }

  SafetensorsHeader& header_;
  State state_ = State::kStart;
  std::string key_;
  SafetensorsEntry entry_;
  int num_offsets_ = 0;
  std::unordered_set<std::string> names_;  // of the whole header
  std::unordered_set<std::string> keys_;   // of the innermost object
  std::string error_;
  size_t error_position_ = 0;
};

absl::Status Corrupt(const std::string& label, const std::string& what) {
  return absl::DataLossError(absl::StrCat("'", label, "' is no valid safetensors file: ", what));
}

// The entries, sorted by offset, tile [0, data_bytes) with the bytes their shapes ask for.
absl::Status CheckLayout(const SafetensorsHeader& header, uint64_t data_bytes,
                         const std::string& label) {
  uint64_t position = 0;
  for (const SafetensorsEntry& entry : header.entries) {
    const std::string where =
        absl::StrCat("tensor '", entry.spec.name, "' with data_offsets [", entry.begin, ", ",
                     entry.end, ") from byte ", header.data_start, ": ");
    if (entry.end < entry.begin) return Corrupt(label, where + "its end lies before its start");
    if (entry.begin != position) {
      return Corrupt(label, absl::StrCat(where, "starts ",
                                         entry.begin < position ? "inside" : "with a hole after",
                                         " the data before it, which ends at ", position));
    }
    if (entry.end > data_bytes) {
      return Corrupt(label, absl::StrCat(where, "ends after the file's data, which has ",
                                         data_bytes, " bytes"));
    }
    const auto bytes = SafetensorsBytes(entry.spec.dtype, entry.spec.shape);
    if (!bytes.ok()) return Corrupt(label, where + std::string(bytes.status().message()));
    if (*bytes != entry.num_bytes()) {
      return Corrupt(label, absl::StrCat(where, "shape ", ShapeToString(entry.spec.shape), " of ",
                                         Name(entry.spec.dtype), " takes ", *bytes, " bytes"));
    }
    position = entry.end;
  }
  if (position == data_bytes) return absl::OkStatus();
  return Corrupt(label, absl::StrCat("the last tensor ends at ", position, " of ", data_bytes,
                                     " data bytes, from byte ", header.data_start));
}

uint64_t LoadLittleEndian(std::span<const std::byte> bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | std::to_integer<uint64_t>(bytes[i]);
  return value;
}

// The header's JSON text: all checks that need no parsing.
absl::StatusOr<std::string_view> HeaderText(std::span<const std::byte> file_bytes,
                                            const std::string& label) {
  if (file_bytes.size() < kLengthBytes) {
    return Corrupt(label, absl::StrCat("it has ", file_bytes.size(), " bytes, less than 8"));
  }
  const uint64_t length = LoadLittleEndian(file_bytes.first(kLengthBytes));
  if (length > kMaxHeaderBytes) {
    return Corrupt(label, absl::StrCat("its header would have ", length, " bytes, more than ",
                                       kMaxHeaderBytes));
  }
  if (length > file_bytes.size() - kLengthBytes) {
    return Corrupt(label, absl::StrCat("its header of ", length, " bytes is cut off at byte ",
                                       file_bytes.size()));
  }
  const std::string_view text(reinterpret_cast<const char*>(file_bytes.data()) + kLengthBytes,
                              length);
  if (text.empty() || text.front() != '{') {
    return Corrupt(label, "its header does not start with '{' (at byte 8)");
  }
  // The parser would take a zero byte for the end of the text.
  if (const size_t zero = text.find('\0'); zero != std::string_view::npos) {
    return Corrupt(label, absl::StrCat("malformed JSON: a zero at byte ", kLengthBytes + zero));
  }
  return text;
}

}  // namespace

int BitsOf(SafetensorsDType dtype) { return kDTypes[static_cast<size_t>(dtype)].bits; }

std::string Name(SafetensorsDType dtype) { return kDTypes[static_cast<size_t>(dtype)].name; }

std::optional<SafetensorsDType> SafetensorsDTypeFromName(std::string_view name) {
  for (size_t i = 0; i < kDTypes.size(); ++i) {
    if (name == kDTypes[i].name) return static_cast<SafetensorsDType>(i);
  }
  return std::nullopt;
}

SafetensorsDType ToSafetensors(DType dtype) {
  // Spelled alike in both.
  return SafetensorsDTypeFromName(equipoise::Name(dtype)).value();
}

std::string ShapeToString(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    absl::StrAppend(&text, axis > 0 ? ", " : "", shape[axis]);
  }
  return text + "]";
}

absl::StatusOr<uint64_t> SafetensorsBytes(SafetensorsDType dtype,
                                          const std::vector<int64_t>& shape) {
  int64_t bits = BitsOf(dtype);
  for (const int64_t extent : shape) {
    if (extent < 0 || __builtin_mul_overflow(bits, extent, &bits)) {
      return absl::InvalidArgumentError(
          absl::StrCat("shape ", ShapeToString(shape), " of ", Name(dtype), " overflows"));
    }
  }
  if (bits % 8 != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("shape ", ShapeToString(shape), " of ", Name(dtype), " is not whole bytes"));
  }
  return static_cast<uint64_t>(bits / 8);
}

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(std::span<const std::byte> file_bytes,
                                                         const std::string& label) {
  EQ_ASSIGN_OR_RETURN(const std::string_view text, HeaderText(file_bytes, label));
  SafetensorsHeader header;
  header.data_start = kLengthBytes + text.size();
  HeaderHandler handler(header);
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &handler)) {
    const std::string where =
        handler.error_position() > 0
            ? absl::StrCat(" (at byte ", kLengthBytes + handler.error_position() - 1, ")")
            : "";
    return Corrupt(label, handler.error() + where);
  }
  std::stable_sort(header.entries.begin(), header.entries.end(),
                   [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
                     return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
                   });
  EQ_RETURN_IF_ERROR(CheckLayout(header, file_bytes.size() - header.data_start, label));
  return header;
}

}  // namespace equipoise
