#ifndef EQUIPOISE_CORE_TELEMETRY_ROUTER_LOG_READER_H_
#define EQUIPOISE_CORE_TELEMETRY_ROUTER_LOG_READER_H_

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "core/io/file_system.h"
#include "core/telemetry/router_log.h"
#include "core/telemetry/step_gaps.h"

namespace equipoise {

// Reads router.bin as it was when it was opened, in the order of its records. Records that are
// damaged or cut off are passed over and counted; the index knows of those, too, that have left no
// trace in the file. The run may go on writing meanwhile. Movable, not thread-safe.
class RouterLogReader {
 public:
  // NotFound: no router.bin in `directory`. FailedPrecondition: a newer version wrote it.
  // DataLoss: it is no such file, or was cut off in its first bytes.
  static absl::StatusOr<RouterLogReader> Open(const FileSystem& file_system,
                                              const std::string& directory);

  // The next whole record into `record`, whose memory is reused; false at the end.
  bool Next(RouterRecord& record);
  // Goes to the first record with at least this step, by the index where it can be used. What lies
  // before is not looked at, nor counted. REQUIRES: before the first Next.
  void SeekStep(int64_t step);
  // Next ends with this step; what lies behind is not counted. REQUIRES: before the first Next.
  void StopAfter(int64_t step) { last_step_ = step; }

  // Of the record that Next gave: its first byte in the file, and the byte after its last.
  uint64_t offset() const { return offset_; }
  uint64_t end_offset() const { return position_; }
  // Records passed over so far; bytes between two whole records count as one at least.
  int64_t num_skipped() const { return num_skipped_; }
  // The records that are missing up to here, damaged ones among them; at the end, where Next was
  // false, all that the index says.
  const StepGaps& gaps() const { return gaps_; }

 private:
  RouterLogReader(std::unique_ptr<FileView> log, std::string index);

  // The payload of the record at `position` and where it ends; false if there is no whole one.
  bool Parse(uint64_t position, std::string_view& payload, uint64_t& end) const;
  // Where to go on after damage at `position`.
  uint64_t Resume(uint64_t position) const;
  // Whether the index entry leads to the record it names.
  bool IsSound(uint64_t entry) const;
  // The next whole record, whatever its step; counts nothing but damage.
  bool Walk(RouterRecord& record);
  uint64_t num_entries() const;
  int64_t StepOf(uint64_t entry) const;
  // The first index entry with at least this step.
  uint64_t EntryFrom(int64_t step) const;
  // Index entries of the steps behind `after` that were asked for.
  int64_t NumIndexed(int64_t after) const;

  std::unique_ptr<FileView> view_;
  std::string_view log_;
  std::string index_;
  uint64_t position_ = router_log::kFileHeaderBytes;
  uint64_t offset_ = 0;
  int64_t num_skipped_ = 0;
  int64_t last_step_ = std::numeric_limits<int64_t>::max();
  bool has_ended_ = false;
  bool is_ordered_ = false;  // the index can be believed: its steps and offsets grow
  StepGaps gaps_;
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_TELEMETRY_ROUTER_LOG_READER_H_
