#ifndef EQUIPOISE_LAUNCHER_REPORT_RUN_FILES_H_
#define EQUIPOISE_LAUNCHER_REPORT_RUN_FILES_H_

#include "absl/status/status.h"
#include "core/io/file_system.h"
#include "launcher/report/run_history.h"

namespace equipoise::launcher {

// Reads the small files of the run directory `run.path` into `run`: STATUS.json, run.json,
// config.textproto, events.jsonl. Errors as ReadRun.
absl::Status ReadRunFiles(const FileSystem& files, RunHistory& run);

// OK if `path` looks like a run directory that this version can read; else as ReadRun.
absl::Status CheckIsRun(const FileSystem& files, const std::string& path);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_REPORT_RUN_FILES_H_
