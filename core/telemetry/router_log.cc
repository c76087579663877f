#include "core/telemetry/router_log.h"

#include <array>
#include <numeric>

#include "core/io/hash.h"
#include "core/telemetry/varint.h"

namespace equipoise {
namespace router_log {
namespace {

using Values = std::vector<int64_t>;

// Tags are for ever: a new array gets a new one.
struct Section {
  uint64_t tag;
  Values RouterLayer::*values;
  bool is_histogram;
};
constexpr std::array<Section, 4> kSections = {{
    {1, &RouterLayer::counts, false},
    {2, &RouterLayer::rank_loads, false},
    {4, &RouterLayer::gate_bins, true},
    {5, &RouterLayer::token_copies, true},
}};
constexpr uint64_t kNodeBytesTag = 3;

// More than any model or job has; keeps damage from asking for all of the memory.
constexpr uint64_t kMaxLayers = 1u << 16;

template <typename T>
void AppendFixed(T value, std::string& out) {
  for (size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>(value >> (8 * i));
}

template <typename T>
T Fixed(const char* data) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    value |= static_cast<T>(static_cast<unsigned char>(data[i])) << (8 * i);
  }
  return value;
}

int64_t MeanOf(const Values& values) {
  const int64_t sum = std::accumulate(values.begin(), values.end(), int64_t{0});
  return sum / static_cast<int64_t>(values.size());
}

void AppendValues(const Values& values, bool is_histogram, std::string& out) {
  AppendVarint(values.size(), out);
  if (values.empty()) return;
  const int64_t base = is_histogram ? 0 : MeanOf(values);
  AppendVarint(ZigZag(base), out);
  for (const int64_t value : values) AppendVarint(ZigZag(value - base), out);
}

bool ReadValues(VarintReader& reader, Values& values) {
  const uint64_t size = reader.Next();
  if (size > reader.remaining()) return false;  // each takes a byte at least
  values.resize(size);
  if (size == 0) return true;
  const int64_t base = reader.NextSigned();
  for (int64_t& value : values) value = base + reader.NextSigned();
  return reader.ok();
}

bool IsRecorded(const RouterRecord& record, const Section& section) {
  for (const RouterLayer& layer : record.layers) {
    if (!(layer.*section.values).empty()) return true;
  }
  return false;
}

std::string EncodeSection(const RouterRecord& record, const Section& section) {
  std::string bytes;
  AppendVarint(record.layers.size(), bytes);
  for (const RouterLayer& layer : record.layers) {
    AppendVarint(static_cast<uint64_t>(layer.layer), bytes);
    AppendValues(layer.*section.values, section.is_histogram, bytes);
  }
  return bytes;
}

bool DecodeSection(std::string_view bytes, Values RouterLayer::*values, RouterRecord& record) {
  VarintReader reader(bytes);
  const uint64_t num_layers = reader.Next();
  if (num_layers > kMaxLayers || num_layers > bytes.size()) return false;
  record.layers.resize(num_layers);
  for (RouterLayer& layer : record.layers) {
    layer.layer = static_cast<int>(reader.Next());
    if (!ReadValues(reader, layer.*values)) return false;
  }
  return reader.ok();
}

bool DecodeKnownSection(uint64_t tag, std::string_view bytes, RouterRecord& record) {
  if (tag == kNodeBytesTag) {
    VarintReader reader(bytes);
    return ReadValues(reader, record.node_bytes);
  }
  for (const Section& section : kSections) {
    if (section.tag == tag) return DecodeSection(bytes, section.values, record);
  }
  return true;
}

// Keeps the memory of a record that is read into.
void Clear(RouterRecord& record) {
  record.node_bytes.clear();
  for (RouterLayer& layer : record.layers) {
    for (const Section& section : kSections) (layer.*section.values).clear();
  }
}

}  // namespace

void AppendFixed32(uint32_t value, std::string& out) { AppendFixed(value, out); }
void AppendFixed64(uint64_t value, std::string& out) { AppendFixed(value, out); }
uint32_t Fixed32(const char* data) { return Fixed<uint32_t>(data); }
uint64_t Fixed64(const char* data) { return Fixed<uint64_t>(data); }

std::string FileHeader() {
  std::string header(kFileMagic);
  AppendFixed32(kRouterLogVersion, header);
  AppendFixed32(0, header);
  return header;
}

std::string Encode(const RouterRecord& record) {
  std::string sections;
  uint64_t num_sections = 0;
  const auto add = [&](uint64_t tag, const std::string& bytes) {
    ++num_sections;
    AppendVarint(tag, sections);
    AppendVarint(bytes.size(), sections);
    sections += bytes;
  };
  for (const Section& section : kSections) {
    if (IsRecorded(record, section)) add(section.tag, EncodeSection(record, section));
  }
  if (!record.node_bytes.empty()) {
    std::string bytes;
    AppendValues(record.node_bytes, /*is_histogram=*/false, bytes);
    add(kNodeBytesTag, bytes);
  }
  std::string payload;
  AppendVarint(ZigZag(record.step), payload);
  AppendVarint(num_sections, payload);
  payload += sections;
  std::string whole(kRecordMagic);
  AppendFixed32(static_cast<uint32_t>(payload.size()), whole);
  whole += payload;
  AppendFixed64(Xxh3(std::string_view(whole)), whole);
  return whole;
}

bool Decode(std::string_view payload, RouterRecord& record) {
  Clear(record);
  VarintReader reader(payload);
  record.step = reader.NextSigned();
  const uint64_t num_sections = reader.Next();
  if (num_sections == 0) record.layers.clear();
  for (uint64_t i = 0; i < num_sections && reader.ok(); ++i) {
    const uint64_t tag = reader.Next();
    const std::string_view bytes = reader.Bytes(reader.Next());
    if (reader.ok() && !DecodeKnownSection(tag, bytes, record)) return false;
  }
  return reader.ok();
}

}  // namespace router_log

RouterRecord ToRouterRecord(const StepRecord& record) {
  RouterRecord result;
  result.step = record.step;
  for (const LayerRecord& layer : record.layers) {
    RouterLayer& to = result.layers.emplace_back();
    to.layer = layer.layer;
    to.counts = layer.counts;
    to.rank_loads = layer.rank_loads;
    to.gate_bins = layer.gate_bins;
    to.token_copies = layer.token_copies;
  }
  for (const std::vector<int64_t>& row : record.node_bytes) {
    result.node_bytes.insert(result.node_bytes.end(), row.begin(), row.end());
  }
  return result;
}

}  // namespace equipoise
