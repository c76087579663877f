#include "core/telemetry/router_log_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <string_view>

namespace equipoise {
namespace {

constexpr int64_t kTableSize = 10000;
constexpr size_t kMaxDigits = 20;  // of an int64, with its sign

// The digits of 0 .. 9999, each in four bytes, left-aligned: nearly all counts are among them, and
// a dump of a long run is hundreds of millions of them.
struct Digits {
  char text[4];
  uint8_t size;
};
constexpr std::array<Digits, kTableSize> MakeDigits() {
  std::array<Digits, kTableSize> table = {};
  for (int i = 0; i < kTableSize; ++i) {
    const int size = i < 10 ? 1 : i < 100 ? 2 : i < 1000 ? 3 : 4;
    table[static_cast<size_t>(i)].size = static_cast<uint8_t>(size);
    for (int digit = size - 1, rest = i; digit >= 0; --digit, rest /= 10) {
      table[static_cast<size_t>(i)].text[digit] = static_cast<char>('0' + rest % 10);
    }
  }
  return table;
}
constexpr std::array<Digits, kTableSize> kDigits = MakeDigits();

// REQUIRES: room for kMaxDigits.
char* Put(int64_t value, char* out) {
  if (value >= 0 && value < kTableSize) {
    const Digits& digits = kDigits[static_cast<size_t>(value)];
    std::memcpy(out, digits.text, sizeof(digits.text));
    return out + digits.size;
  }
  return std::to_chars(out, out + kMaxDigits, value).ptr;
}

// Appends the values with commas between them.
void AppendValues(const std::vector<int64_t>& values, std::string& out) {
  const size_t before = out.size();
  out.resize(before + values.size() * (kMaxDigits + 1) + kMaxDigits);
  char* next = out.data() + before;
  for (const int64_t value : values) {
    next = Put(value, next);
    *next++ = ',';
  }
  out.resize(static_cast<size_t>(next - out.data()) - (values.empty() ? 0 : 1));
}

void AppendNodeBytesJson(const std::vector<int64_t>& bytes, std::string& out) {
  size_t nodes = 1;
  while (nodes * nodes < bytes.size()) ++nodes;
  out += ",\"node_bytes\":[";
  for (size_t start = 0; start < bytes.size(); start += nodes) {
    const size_t end = std::min(start + nodes, bytes.size());
    out += start == 0 ? "[" : ",[";
    AppendValues({bytes.begin() + static_cast<std::ptrdiff_t>(start),
                  bytes.begin() + static_cast<std::ptrdiff_t>(end)},
                 out);
    out += ']';
  }
  out += ']';
}

void AppendNumber(int64_t value, std::string& out) {
  char digits[kMaxDigits];
  out.append(digits, static_cast<size_t>(Put(value, digits) - digits));
}

struct Array {
  std::string_view name;
  std::vector<int64_t> RouterLayer::*values;
};
constexpr Array kArrays[] = {
    {"counts", &RouterLayer::counts},
    {"rank_loads", &RouterLayer::rank_loads},
    {"gate_bins", &RouterLayer::gate_bins},
    {"token_copies", &RouterLayer::token_copies},
};

}  // namespace

void AppendCsv(const RouterRecord& record, std::string& out) {
  for (const RouterLayer& layer : record.layers) {
    for (const Array& array : kArrays) {
      const std::vector<int64_t>& values = layer.*array.values;
      if (values.empty()) continue;
      AppendNumber(record.step, out);
      out += ',';
      AppendNumber(layer.layer, out);
      out += ',';
      out += array.name;
      out += ',';
      AppendValues(values, out);
      out += '\n';
    }
  }
  if (record.node_bytes.empty()) return;
  AppendNumber(record.step, out);
  out += ",,node_bytes,";
  AppendValues(record.node_bytes, out);
  out += '\n';
}

void AppendJson(const RouterRecord& record, std::string& out) {
  out += "{\"step\":";
  AppendNumber(record.step, out);
  out += ",\"moe\":[";
  for (size_t i = 0; i < record.layers.size(); ++i) {
    const RouterLayer& layer = record.layers[i];
    out += i == 0 ? "{\"layer\":" : ",{\"layer\":";
    AppendNumber(layer.layer, out);
    for (const Array& array : kArrays) {
      const std::vector<int64_t>& values = layer.*array.values;
      if (values.empty()) continue;
      out += ",\"";
      out += array.name;
      out += "\":[";
      AppendValues(values, out);
      out += ']';
    }
    out += '}';
  }
  out += ']';
  if (!record.node_bytes.empty()) AppendNodeBytesJson(record.node_bytes, out);
  out += "}\n";
}

}  // namespace equipoise
