#include "core/telemetry/tf_record.h"

#include <array>

namespace equipoise {
namespace {

constexpr size_t kHeaderBytes = 12;
constexpr size_t kFooterBytes = 4;

constexpr std::array<uint32_t, 256> MakeTable() {
  constexpr uint32_t kReversedPolynomial = 0x82f63b78;
  std::array<uint32_t, 256> table = {};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kReversedPolynomial : 0);
    table[i] = crc;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kTable = MakeTable();

// A CRC of data that holds CRCs is weak, so they are stored changed.
uint32_t MaskedCrc(std::string_view bytes) {
  const uint32_t crc = Crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

template <typename T>
void Append(T value, std::string& out) {
  for (size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>(value >> (8 * i));
}

template <typename T>
T Read(std::string_view bytes) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    value |= static_cast<T>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  }
  return value;
}

}  // namespace

uint32_t Crc32c(std::string_view bytes) {
  uint32_t crc = ~0u;
  for (const char byte : bytes) {
    crc = (crc >> 8) ^ kTable[(crc ^ static_cast<unsigned char>(byte)) & 0xffu];
  }
  return ~crc;
}

std::string FrameTfRecord(std::string_view data) {
  std::string record;
  record.reserve(data.size() + kHeaderBytes + kFooterBytes);
  Append(uint64_t{data.size()}, record);
  Append(MaskedCrc(record), record);
  record += data;
  Append(MaskedCrc(data), record);
  return record;
}

std::optional<std::string_view> NextTfRecord(std::string_view& file) {
  if (file.size() < kHeaderBytes + kFooterBytes) return std::nullopt;
  const uint64_t size = Read<uint64_t>(file);
  if (MaskedCrc(file.substr(0, 8)) != Read<uint32_t>(file.substr(8))) return std::nullopt;
  if (size > file.size() - kHeaderBytes - kFooterBytes) return std::nullopt;
  const std::string_view data = file.substr(kHeaderBytes, size);
  if (MaskedCrc(data) != Read<uint32_t>(file.substr(kHeaderBytes + size))) return std::nullopt;
  file.remove_prefix(kHeaderBytes + size + kFooterBytes);
  return data;
}

}  // namespace equipoise
