#ifndef EQUIPOISE_LAUNCHER_REPORT_FILE_DAMAGE_H_
#define EQUIPOISE_LAUNCHER_REPORT_FILE_DAMAGE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "core/io/file_system.h"
#include "launcher/report/run_history.h"

namespace equipoise::launcher {

// Adds to `run.damage` a config.textproto that is missing or not what the run wrote: by the hashes
// in run.json and the checkpoints, as a start that goes on with the run judges. Changes no file.
void AddConfigDamage(FileSystem& files, RunHistory& run);

// Likewise a router.bin that is missing, or has nothing, although the run wrote one. After the rows
// of metrics.jsonl. `opened`: how opening it went; `num_records`: what was read of it.
void AddRouterLogDamage(const FileSystem& files, const absl::Status& opened, int64_t num_records,
                        RunHistory& run);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_REPORT_FILE_DAMAGE_H_
