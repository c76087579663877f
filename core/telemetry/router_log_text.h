#ifndef EQUIPOISE_CORE_TELEMETRY_ROUTER_LOG_TEXT_H_
#define EQUIPOISE_CORE_TELEMETRY_ROUTER_LOG_TEXT_H_

#include <string>

#include "core/telemetry/router_log.h"

namespace equipoise {

// Appends the record as lines `step,layer,array,value,value,...`: one for each layer and array
// ("counts", "rank_loads") that has values, and one for "node_bytes", row by row, without a layer.
void AppendCsv(const RouterRecord& record, std::string& out);

// Appends the record as one line: {"step":1,"moe":[{"layer":0,"counts":[...],...},...]}. Keys as in
// metrics.jsonl.
void AppendJson(const RouterRecord& record, std::string& out);

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_TELEMETRY_ROUTER_LOG_TEXT_H_
