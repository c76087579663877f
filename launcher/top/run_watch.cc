#include "launcher/top/run_watch.h"

#include <cmath>
#include <cstdlib>
#include <memory>
#include <utility>

#include "core/base/status_macros.h"
#include "core/io/file_system.h"
#include "launcher/report/run_files.h"

namespace equipoise::launcher {
namespace {

// The end of metrics.jsonl that is read first: a screen needs no more.
constexpr uint64_t kFirstBytes = uint64_t{16} << 20;

void Push(double value, std::deque<double>& values) {
  values.push_back(value);
  if (values.size() > RunWatch::kHistory) values.pop_front();
}

}  // namespace

bool HasEnded(const RunNow& run) {
  return run.state == "finished" || run.state == "failed" || run.state == "stopped" ||
         run.state == "interrupted";
}

absl::Status RunWatch::Update() {
  const std::unique_ptr<FileSystem> files = NewPosixFileSystem();
  RunHistory run;
  run.path = path_;
  EQ_RETURN_IF_ERROR(ReadRunFiles(*files, run));
  now_.name = run.name;
  now_.state = run.state;
  now_.reason = run.reason;
  now_.silence = run.silence;
  const auto steps = run.config.find("steps");
  now_.total_steps = steps == run.config.end() ? 0 : std::atoll(steps->second.c_str());
  now_.events.clear();
  for (HistoryEvent& event : run.events) {
    const bool is_restart = event.event == "start" && event.step > 0;
    if (is_restart || event.event == "warning") now_.events.push_back(std::move(event));
  }
  return ReadMetrics();
}

absl::Status RunWatch::ReadMetrics() {
  const std::unique_ptr<FileSystem> files = NewPosixFileSystem();
  const std::string metrics = JoinPath(path_, "metrics.jsonl");
  const absl::StatusOr<uint64_t> size = files->FileSize(metrics);
  if (!size.ok()) return absl::OkStatus();  // not one step yet
  if (*size < end_byte_) {
    // The run was resumed from an earlier step, and its rows behind that are gone.
    now_.losses.clear();
    now_.speeds.clear();
    now_.step_seconds.clear();
    now_.row = MetricsRow();
    has_begun_ = false;
  }
  if (!has_begun_) end_byte_ = *size > kFirstBytes ? *size - kFirstBytes : 0;
  has_begun_ = true;
  MetricsReaderOptions options;
  options.from_byte = end_byte_;
  EQ_ASSIGN_OR_RETURN(const MetricsReadResult result,
                      reader_.Read(metrics, options, [this](const MetricsRow& row) { Take(row); }));
  if (result.num_rows > 0) end_byte_ = result.end_byte;
  return absl::OkStatus();
}

void RunWatch::Take(const MetricsRow& row) {
  if (row.validation.present) {
    now_.validation_step = row.step;
    now_.validation = row.validation;
  }
  if (!row.has_cross_entropy) return;
  now_.row = row;
  Push(row.cross_entropy, now_.losses);
  Push(row.tokens_per_second, now_.speeds);
  Push(row.step_seconds, now_.step_seconds);
}

}  // namespace equipoise::launcher
