#include "launcher/chart/png.h"

#include <zlib.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/check.h"

namespace equipoise::launcher {
namespace {

void AppendBigEndian(uint32_t value, std::string& out) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
}

const Bytef* Bytes(const std::string& text) { return reinterpret_cast<const Bytef*>(text.data()); }

void AppendChunk(const std::string& type, const std::string& data, std::string& out) {
  const std::string checked = type + data;
  AppendBigEndian(static_cast<uint32_t>(data.size()), out);
  out += checked;
  const uLong crc = crc32(0, Bytes(checked), static_cast<uInt>(checked.size()));
  AppendBigEndian(static_cast<uint32_t>(crc), out);
}

std::string Compress(const std::string& data) {
  uLongf size = compressBound(data.size());
  std::string compressed(size, '\0');
  const int result = compress2(reinterpret_cast<Bytef*>(compressed.data()), &size, Bytes(data),
                               data.size(), Z_BEST_SPEED + 5);
  EQ_CHECK_EQ(result, Z_OK);
  compressed.resize(size);
  return compressed;
}

}  // namespace

std::string EncodePng(std::span<const uint8_t> pixels, int width,
                      const std::vector<Colour>& palette) {
  const auto columns = static_cast<size_t>(width);
  EQ_CHECK(width > 0 && !pixels.empty() && pixels.size() % columns == 0);
  std::string header;
  AppendBigEndian(static_cast<uint32_t>(width), header);
  AppendBigEndian(static_cast<uint32_t>(pixels.size() / columns), header);
  header += std::string("\x08\x03\x00\x00\x00", 5);  // 8 bits, indexed; the only methods there are
  std::string colours;
  for (const Colour& colour : palette) {
    for (const uint8_t part : {colour.red, colour.green, colour.blue}) {
      colours += static_cast<char>(part);
    }
  }
  std::string rows;
  for (size_t start = 0; start < pixels.size(); start += columns) {
    rows += '\0';  // no filter
    rows.append(reinterpret_cast<const char*>(pixels.data()) + start, columns);
  }
  std::string png("\x89PNG\r\n\x1a\n", 8);
  AppendChunk("IHDR", header, png);
  AppendChunk("PLTE", colours, png);
  AppendChunk("IDAT", Compress(rows), png);
  AppendChunk("IEND", "", png);
  return png;
}

std::string PngDataUri(const std::string& png) {
  return absl::StrCat("data:image/png;base64,", absl::Base64Escape(png));
}

}  // namespace equipoise::launcher
