#include "core/io/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"

namespace equipoise {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

template <typename T>
T LoadUnaligned(const std::byte* address) {
  T value;
  std::memcpy(&value, address, sizeof(T));
  return value;
}

float FromBF16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

float FromF16(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t exponent = (bits >> 10) & 31;
  const uint32_t fraction = bits & 0x3ff;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000 | fraction << 13);
  if (exponent == 0) {
    // Zero or subnormal: fraction * 2^-24, exact in float.
    const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
    return sign != 0 ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}

template <typename T, typename Convert>
void ConvertAll(std::span<const std::byte> bytes, std::span<float> out, Convert convert) {
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = convert(LoadUnaligned<T>(bytes.data() + i * sizeof(T)));
  }
}

// Offsets in writing order. Fails on what no header can say.
absl::StatusOr<std::vector<SafetensorsEntry>> LayOut(std::vector<SafetensorsSpec> tensors,
                                                     const std::string& path) {
  std::sort(tensors.begin(), tensors.end(), [](const SafetensorsSpec& a, const SafetensorsSpec& b) {
    return a.dtype != b.dtype ? a.dtype > b.dtype : a.name < b.name;
  });
  std::vector<SafetensorsEntry> order;
  std::unordered_set<std::string> names;
  uint64_t position = 0;
  for (SafetensorsSpec& spec : tensors) {
    const std::string where = absl::StrCat("cannot write '", path, "': tensor '", spec.name, "' ");
    if (spec.name == "__metadata__") {
      return absl::InvalidArgumentError(where + "is a reserved name");
    }
    if (!names.insert(spec.name).second) {
      return absl::InvalidArgumentError(where + "is declared twice");
    }
    const auto bytes = SafetensorsBytes(spec.dtype, spec.shape);
    if (!bytes.ok()) {
      return absl::InvalidArgumentError(where + std::string(bytes.status().message()));
    }
    order.push_back({std::move(spec), position, position + *bytes});
    position += *bytes;
  }
  return order;
}

// Length, JSON and padding.
absl::StatusOr<std::string> HeaderBytes(const std::vector<SafetensorsEntry>& order,
                                        const std::map<std::string, std::string>& metadata,
                                        const std::string& path) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  // Appended pair by pair: an ordered_json looks keys up one after another.
  auto& members = header.get_ref<nlohmann::ordered_json::object_t&>();
  if (!metadata.empty()) members.emplace_back("__metadata__", metadata);
  for (const SafetensorsEntry& entry : order) {
    nlohmann::ordered_json description;
    description["dtype"] = Name(entry.spec.dtype);
    description["shape"] = entry.spec.shape;
    description["data_offsets"] = {entry.begin, entry.end};
    members.emplace_back(entry.spec.name, std::move(description));
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception& exception) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot write '", path, "': a name is not UTF-8: ", exception.what()));
  }
  text.append((8 - text.size() % 8) % 8, ' ');
  const uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + text;
}

}  // namespace

SafetensorsReader::SafetensorsReader(std::string path, std::unique_ptr<FileView> view,
                                     SafetensorsHeader header)
    : path_(std::move(path)), view_(std::move(view)), header_(std::move(header)) {
  for (const SafetensorsEntry& entry : header_.entries) by_name_[entry.spec.name] = &entry;
}

absl::StatusOr<std::unique_ptr<SafetensorsReader>> SafetensorsReader::Open(
    const FileSystem& file_system, const std::string& path) {
  EQ_ASSIGN_OR_RETURN(auto view, file_system.Map(path));
  EQ_ASSIGN_OR_RETURN(auto header, ParseSafetensorsHeader(view->bytes(), path));
  return std::unique_ptr<SafetensorsReader>(
      new SafetensorsReader(path, std::move(view), std::move(header)));
}

const SafetensorsEntry* SafetensorsReader::Find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found != by_name_.end() ? found->second : nullptr;
}

absl::StatusOr<const SafetensorsEntry*> SafetensorsReader::Get(const std::string& name) const {
  const SafetensorsEntry* entry = Find(name);
  if (entry != nullptr) return entry;
  return absl::NotFoundError(absl::StrCat("'", path_, "' has no tensor '", name, "'"));
}

absl::StatusOr<const SafetensorsEntry*> SafetensorsReader::GetWithShape(
    const std::string& name, const std::vector<int64_t>& shape) const {
  EQ_ASSIGN_OR_RETURN(const SafetensorsEntry* entry, Get(name));
  if (entry->spec.shape == shape) return entry;
  return absl::InvalidArgumentError(absl::StrCat("'", path_, "': tensor '", name, "' has shape ",
                                                 ShapeToString(entry->spec.shape), ", not ",
                                                 ShapeToString(shape)));
}

std::span<const std::byte> SafetensorsReader::Bytes(const SafetensorsEntry& entry) const {
  return view_->bytes().subspan(header_.data_start + entry.begin, entry.num_bytes());
}

absl::Status SafetensorsReader::ReadBytes(const std::string& name, SafetensorsDType dtype,
                                          const std::vector<int64_t>& shape,
                                          std::span<std::byte> out) const {
  EQ_ASSIGN_OR_RETURN(const SafetensorsEntry* entry, GetWithShape(name, shape));
  if (entry->spec.dtype != dtype) {
    return absl::InvalidArgumentError(absl::StrCat("'", path_, "': tensor '", name, "' holds ",
                                                   equipoise::Name(entry->spec.dtype), ", not ",
                                                   equipoise::Name(dtype)));
  }
  EQ_CHECK_EQ(out.size(), entry->num_bytes()) << name;
  if (!out.empty()) std::memcpy(out.data(), Bytes(*entry).data(), out.size());
  return absl::OkStatus();
}

absl::Status SafetensorsReader::ReadAsFloat(const std::string& name,
                                            const std::vector<int64_t>& shape,
                                            std::span<float> out) const {
  EQ_ASSIGN_OR_RETURN(const SafetensorsEntry* entry, GetWithShape(name, shape));
  const SafetensorsDType dtype = entry->spec.dtype;
  EQ_CHECK_EQ(out.size() * static_cast<size_t>(BitsOf(dtype)), entry->num_bytes() * 8) << name;
  const std::span<const std::byte> bytes = Bytes(*entry);
  switch (dtype) {
    case SafetensorsDType::kF32:
      ConvertAll<float>(bytes, out, [](float value) { return value; });
      return absl::OkStatus();
    case SafetensorsDType::kF64:
      ConvertAll<double>(bytes, out, [](double value) { return static_cast<float>(value); });
      return absl::OkStatus();
    case SafetensorsDType::kBF16:
      ConvertAll<uint16_t>(bytes, out, FromBF16);
      return absl::OkStatus();
    case SafetensorsDType::kF16:
      ConvertAll<uint16_t>(bytes, out, FromF16);
      return absl::OkStatus();
    default:
      return absl::InvalidArgumentError(absl::StrCat("'", path_, "': tensor '", name, "' holds ",
                                                     equipoise::Name(dtype),
                                                     ", which does not convert to F32"));
  }
}

SafetensorsWriter::SafetensorsWriter(std::string path, std::unique_ptr<WritableFile> file,
                                     std::vector<SafetensorsEntry> order, uint64_t file_bytes)
    : path_(std::move(path)),
      file_(std::move(file)),
      order_(std::move(order)),
      file_bytes_(file_bytes) {
  SkipComplete();
}

absl::StatusOr<std::unique_ptr<SafetensorsWriter>> SafetensorsWriter::Create(
    FileSystem& file_system, const std::string& path, std::vector<SafetensorsSpec> tensors,
    const std::map<std::string, std::string>& metadata) {
  EQ_ASSIGN_OR_RETURN(auto order, LayOut(std::move(tensors), path));
  EQ_ASSIGN_OR_RETURN(const std::string header, HeaderBytes(order, metadata, path));
  EQ_ASSIGN_OR_RETURN(auto file, file_system.Create(path));
  EQ_RETURN_IF_ERROR(file->Append(header));
  const uint64_t file_bytes = header.size() + (order.empty() ? 0 : order.back().end);
  return std::unique_ptr<SafetensorsWriter>(
      new SafetensorsWriter(path, std::move(file), std::move(order), file_bytes));
}

void SafetensorsWriter::SkipComplete() {
  while (current_ < order_.size() && written_ == order_[current_].num_bytes()) {
    hashes_.push_back(stream_.Digest());
    stream_.Reset();
    written_ = 0;
    ++current_;
  }
}

absl::Status SafetensorsWriter::Write(const std::string& name, std::span<const std::byte> bytes) {
  if (bytes.empty()) return absl::OkStatus();
  const std::string expected = current_ < order_.size() ? order_[current_].spec.name : "";
  if (current_ == order_.size() || name != expected) {
    return absl::FailedPreconditionError(absl::StrCat(
        "writing '", path_, "': data of tensor '", name, "' came where ",
        current_ == order_.size() ? "nothing more" : "'" + expected + "'", " was expected"));
  }
  const uint64_t left = order_[current_].num_bytes() - written_;
  if (bytes.size() > left) {
    return absl::FailedPreconditionError(absl::StrCat("writing '", path_, "': ", bytes.size(),
                                                      " bytes of tensor '", name, "' came where ",
                                                      left, " were left"));
  }
  EQ_RETURN_IF_ERROR(file_->Append(bytes));
  stream_.Update(bytes);
  written_ += bytes.size();
  SkipComplete();
  return absl::OkStatus();
}

absl::StatusOr<std::vector<WrittenTensor>> SafetensorsWriter::Finish() {
  if (current_ < order_.size()) {
    return absl::FailedPreconditionError(
        absl::StrCat("writing '", path_, "': tensor '", order_[current_].spec.name, "' has ",
                     written_, " of ", order_[current_].num_bytes(), " bytes"));
  }
  EQ_RETURN_IF_ERROR(file_->Sync());
  EQ_RETURN_IF_ERROR(file_->Close());
  std::vector<WrittenTensor> written;
  for (size_t i = 0; i < order_.size(); ++i) written.push_back({order_[i], hashes_[i]});
  return written;
}

}  // namespace equipoise
