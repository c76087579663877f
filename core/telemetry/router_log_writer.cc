#include "core/telemetry/router_log_writer.h"

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/telemetry/router_log_reader.h"

namespace equipoise {
namespace {

std::string IndexEntry(int64_t step, uint64_t offset) {
  std::string entry;
  router_log::AppendFixed64(static_cast<uint64_t>(step), entry);
  router_log::AppendFixed64(offset, entry);
  return entry;
}

// What stays of a log, and its index.
struct Kept {
  uint64_t size = 0;
  std::string index;
  StepGaps gaps;
};

absl::StatusOr<Kept> KeepUpTo(const FileSystem& file_system, const std::string& directory,
                              int64_t resumed_step) {
  Kept kept;
  if (resumed_step < 0) return kept;
  if (!file_system.Exists(JoinPath(directory, kRouterLogName))) {
    // Without an index, too, the run may never have had a log.
    const bool is_lost = file_system.Exists(JoinPath(directory, kRouterIndexName));
    kept.gaps.End(is_lost ? resumed_step : 0);
    return kept;
  }
  absl::StatusOr<RouterLogReader> reader = RouterLogReader::Open(file_system, directory);
  // A file that was cut off in its header, or is no log at all, holds nothing to keep.
  if (absl::IsDataLoss(reader.status())) {
    kept.gaps.End(resumed_step);
    return kept;
  }
  EQ_RETURN_IF_ERROR(reader.status());
  RouterRecord record;
  kept.size = router_log::kFileHeaderBytes;
  reader->StopAfter(resumed_step);
  while (reader->Next(record)) {
    kept.index += IndexEntry(record.step, reader->offset());
    kept.size = reader->end_offset();
  }
  kept.gaps = reader->gaps();
  return kept;
}

}  // namespace

absl::StatusOr<std::unique_ptr<StepSink>> RouterLogWriter::Open(FileSystem& file_system,
                                                                const std::string& directory,
                                                                int64_t resumed_step,
                                                                StepGaps* gaps) {
  EQ_ASSIGN_OR_RETURN(Kept kept, KeepUpTo(file_system, directory, resumed_step));
  if (gaps != nullptr) *gaps = std::move(kept.gaps);
  const std::string log_path = JoinPath(directory, kRouterLogName);
  const std::string index_path = JoinPath(directory, kRouterIndexName);
  // A reader must never meet an index of records that are gone.
  EQ_ASSIGN_OR_RETURN(auto index, AppendFile::Open(file_system, index_path, 0));
  EQ_ASSIGN_OR_RETURN(auto log, AppendFile::Open(file_system, log_path, kept.size));
  if (kept.size == 0) EQ_RETURN_IF_ERROR(log->Append(router_log::FileHeader()));
  if (!kept.index.empty()) EQ_RETURN_IF_ERROR(index->Append(kept.index));
  return std::unique_ptr<StepSink>(new RouterLogWriter(std::move(log), std::move(index)));
}

absl::Status RouterLogWriter::Write(const StepRecord& record) {
  if (record.layers.empty()) return absl::OkStatus();
  const uint64_t offset = log_->size();
  EQ_RETURN_IF_ERROR(log_->Append(router_log::Encode(ToRouterRecord(record))));
  return index_->Append(IndexEntry(record.step, offset));
}

}  // namespace equipoise
