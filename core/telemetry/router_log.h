#ifndef EQUIPOISE_CORE_TELEMETRY_ROUTER_LOG_H_
#define EQUIPOISE_CORE_TELEMETRY_ROUTER_LOG_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/telemetry/step_record.h"

// router.bin: which expert got how many tokens, a record a step, in a fifth of the bytes that
// metrics.jsonl takes for it and readable at memory speed. All numbers little-endian:
//
//   file    "EQROUTER" | version u32 | 0 u32 | record...
//   record  "EQR1" | size of the payload u32 | payload | XXH3-64 of everything before it u64
//   payload step | number of sections | (tag | size in bytes | bytes)...        all varints
//
// An array is its number of values, a base, and each value minus that, zigzag; the base is their
// integer mean, and 0 for histograms, which have many zeros. Sections 1 (counts), 2 (rank loads), 4
// (copies by gate) and 5 (tokens by number of copies) hold an array a layer: number of layers, then
// for each its index in the model and its array. Section 3 (bytes between nodes) is one array. A
// reader passes over tags that it does not know, and files from before a tag lack it; a file of a
// greater version it refuses.
//
// router.idx beside it has 16 bytes a record, step i64 | offset u64, so that a reader finds a step
// without walking through the file. It can be deleted: readers then walk, and the next start of the
// run writes it anew.

namespace equipoise {

inline constexpr char kRouterLogName[] = "router.bin";
inline constexpr char kRouterIndexName[] = "router.idx";
inline constexpr uint32_t kRouterLogVersion = 1;

// One MoE layer in one step. An array that the run did not record is empty.
struct RouterLayer {
  int layer = 0;                      // index in the model
  std::vector<int64_t> counts;        // [E] token copies each expert was chosen for
  std::vector<int64_t> rank_loads;    // [R] token copies each rank's experts received
  std::vector<int64_t> gate_bins;     // copies by gate, edges in routing/gate_histogram.h
  std::vector<int64_t> token_copies;  // tokens by their number of copies, from none on
};

struct RouterRecord {
  int64_t step = 0;
  std::vector<RouterLayer> layers;
  std::vector<int64_t> node_bytes;  // [N * N] bytes from node (row) to node (column), all layers
};

RouterRecord ToRouterRecord(const StepRecord& record);

// The pieces that the writer and the reader share.
namespace router_log {

inline constexpr size_t kFileHeaderBytes = 16;
inline constexpr size_t kRecordHeaderBytes = 8;
inline constexpr size_t kChecksumBytes = 8;
inline constexpr size_t kIndexEntryBytes = 16;
inline constexpr std::string_view kFileMagic = "EQROUTER";
inline constexpr std::string_view kRecordMagic = "EQR1";

std::string FileHeader();
// A whole record.
std::string Encode(const RouterRecord& record);
// Reads a payload into `record`, reusing its memory. False if it makes no sense.
bool Decode(std::string_view payload, RouterRecord& record);

void AppendFixed32(uint32_t value, std::string& out);
void AppendFixed64(uint64_t value, std::string& out);
// REQUIRES: enough bytes at `data`.
uint32_t Fixed32(const char* data);
uint64_t Fixed64(const char* data);

}  // namespace router_log
}  // namespace equipoise

#endif  // EQUIPOISE_CORE_TELEMETRY_ROUTER_LOG_H_
