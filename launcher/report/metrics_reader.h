#ifndef EQUIPOISE_LAUNCHER_REPORT_METRICS_READER_H_
#define EQUIPOISE_LAUNCHER_REPORT_METRICS_READER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "launcher/report/metrics_row.h"

namespace equipoise::launcher {

struct MetricsReaderOptions {
  // Leaves MetricsRow::layers' counts and gate_bins empty: for who has them from router.bin.
  bool skip_counts = false;
  // Begins with the first line that begins at this byte or later.
  uint64_t from_byte = 0;
};

// What a pass over metrics.jsonl came to.
struct MetricsReadResult {
  int64_t num_rows = 0;
  int64_t num_skipped = 0;  // lines that are no row, or were cut off
  uint64_t end_byte = 0;    // after the last whole line
};

// Reads rows at the speed of simdjson, in constant memory.
class MetricsReader {
 public:
  MetricsReader();
  ~MetricsReader();

  // Gives each row of the file to `visit`, in order; the row is only valid during the call. The
  // file may grow meanwhile. NotFound if there is none.
  absl::StatusOr<MetricsReadResult> Read(const std::string& path,
                                         const MetricsReaderOptions& options,
                                         const std::function<void(const MetricsRow&)>& visit);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_REPORT_METRICS_READER_H_
