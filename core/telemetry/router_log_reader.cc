#include "core/telemetry/router_log_reader.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/io/hash.h"
#include "core/telemetry/varint.h"

namespace equipoise {
namespace {

using router_log::kChecksumBytes;
using router_log::kFileHeaderBytes;
using router_log::kFileMagic;
using router_log::kIndexEntryBytes;
using router_log::kRecordHeaderBytes;
using router_log::kRecordMagic;

absl::Status CheckHeader(std::string_view log, const std::string& path) {
  if (log.size() < kFileHeaderBytes) {
    return absl::DataLossError(
        absl::StrCat("'", path, "' has ", log.size(), " bytes, too few for a header"));
  }
  if (log.substr(0, kFileMagic.size()) != kFileMagic) {
    return absl::DataLossError(absl::StrCat(
        "'", path, "' is no router log: it does not begin with ", std::string(kFileMagic)));
  }
  const uint32_t version = router_log::Fixed32(log.data() + kFileMagic.size());
  if (version <= kRouterLogVersion) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("'", path, "' has format ", version, ", this program reads up to ",
                   kRouterLogVersion, ": a newer Equipoise wrote it; use that"));
}

// The index file's text; empty if it is not there: then records are walked through.
std::string ReadIndex(const FileSystem& file_system, const std::string& path) {
  const auto view = file_system.Map(path);
  return view.ok() ? std::string((*view)->text()) : std::string();
}

}  // namespace

absl::StatusOr<RouterLogReader> RouterLogReader::Open(const FileSystem& file_system,
                                                      const std::string& directory) {
  const std::string path = JoinPath(directory, kRouterLogName);
  std::string index = ReadIndex(file_system, JoinPath(directory, kRouterIndexName));
  EQ_ASSIGN_OR_RETURN(std::unique_ptr<FileView> log, file_system.Map(path));
  EQ_RETURN_IF_ERROR(CheckHeader(log->text(), path));
  return RouterLogReader(std::move(log), std::move(index));
}

RouterLogReader::RouterLogReader(std::unique_ptr<FileView> log, std::string index)
    : view_(std::move(log)), log_(view_->text()), index_(std::move(index)) {
  is_ordered_ = num_entries() > 0;
  for (uint64_t entry = 1; entry < num_entries(); ++entry) {
    const char* data = index_.data() + entry * kIndexEntryBytes;
    is_ordered_ = is_ordered_ && StepOf(entry) > StepOf(entry - 1) &&
                  router_log::Fixed64(data + 8) > router_log::Fixed64(data + 8 - kIndexEntryBytes);
  }
  // What is missing in front of the first whole record.
  if (is_ordered_) gaps_.StartAt(StepOf(0));
}

uint64_t RouterLogReader::num_entries() const { return index_.size() / kIndexEntryBytes; }

int64_t RouterLogReader::StepOf(uint64_t entry) const {
  return static_cast<int64_t>(router_log::Fixed64(index_.data() + entry * kIndexEntryBytes));
}

uint64_t RouterLogReader::EntryFrom(int64_t step) const {
  uint64_t low = 0;
  uint64_t high = num_entries();
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    if (StepOf(middle) < step) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

int64_t RouterLogReader::NumIndexed(int64_t after) const {
  if (!is_ordered_) return 0;
  const uint64_t end =
      last_step_ == std::numeric_limits<int64_t>::max() ? num_entries() : EntryFrom(last_step_ + 1);
  const uint64_t begin = EntryFrom(after + 1);
  return end > begin ? static_cast<int64_t>(end - begin) : 0;
}

bool RouterLogReader::Parse(uint64_t position, std::string_view& payload, uint64_t& end) const {
  if (position > log_.size()) return false;
  if (log_.size() - position < kRecordHeaderBytes + kChecksumBytes) return false;
  if (log_.substr(position, kRecordMagic.size()) != kRecordMagic) return false;
  const uint64_t size = router_log::Fixed32(log_.data() + position + kRecordMagic.size());
  const uint64_t checked = kRecordHeaderBytes + size;
  end = position + checked + kChecksumBytes;
  if (end > log_.size()) return false;
  const uint64_t checksum = router_log::Fixed64(log_.data() + position + checked);
  if (Xxh3(log_.substr(position, checked)) != checksum) return false;
  payload = log_.substr(position + kRecordHeaderBytes, size);
  return true;
}

uint64_t RouterLogReader::Resume(uint64_t position) const {
  // Where the record's own size leads to the next one, only its inside is damaged.
  if (position + kRecordHeaderBytes <= log_.size()) {
    const uint64_t size = router_log::Fixed32(log_.data() + position + kRecordMagic.size());
    const uint64_t next = position + kRecordHeaderBytes + size + kChecksumBytes;
    if (next == log_.size()) return next;
    if (next < log_.size() && log_.substr(next, kRecordMagic.size()) == kRecordMagic) return next;
  }
  const size_t next = log_.find(kRecordMagic, position + 1);
  return next == std::string_view::npos ? log_.size() : next;
}

bool RouterLogReader::Next(RouterRecord& record) {
  if (has_ended_) return false;
  const int64_t num_skipped = num_skipped_;
  const bool found = Walk(record);
  const bool is_behind = found && record.step > last_step_;
  // Damage in front of a record that was not asked for may be of such ones, too.
  for (int64_t i = num_skipped; i < num_skipped_ && !is_behind; ++i) gaps_.Damage();
  if (found && !is_behind) {
    gaps_.See(record.step);
    return true;
  }
  has_ended_ = true;
  const int64_t last = gaps_.last().value_or(std::numeric_limits<int64_t>::min());
  const int64_t by_steps = is_behind && gaps_.last().has_value() ? last_step_ - last : 0;
  gaps_.End(std::max(NumIndexed(last), by_steps));
  return false;
}

bool RouterLogReader::Walk(RouterRecord& record) {
  bool in_damage = false;  // a false start inside damage is the same damage
  while (position_ < log_.size()) {
    std::string_view payload;
    uint64_t end = 0;
    if (Parse(position_, payload, end) && router_log::Decode(payload, record)) {
      offset_ = position_;
      position_ = end;
      return true;
    }
    const bool at_a_record = log_.substr(position_, kRecordMagic.size()) == kRecordMagic;
    if (!in_damage || at_a_record) ++num_skipped_;
    in_damage = true;
    position_ = Resume(position_);
  }
  return false;
}

bool RouterLogReader::IsSound(uint64_t entry) const {
  const char* data = index_.data() + entry * kIndexEntryBytes;
  const uint64_t offset = router_log::Fixed64(data + 8);
  std::string_view payload;
  uint64_t end = 0;
  if (offset < kFileHeaderBytes || !Parse(offset, payload, end)) return false;
  return VarintReader(payload).NextSigned() == static_cast<int64_t>(router_log::Fixed64(data));
}

void RouterLogReader::SeekStep(int64_t step) {
  // From the last one before `step`: the index may lack the newest records.
  const uint64_t first = EntryFrom(step);
  if (first > 0 && IsSound(first - 1)) {
    position_ = router_log::Fixed64(index_.data() + (first - 1) * kIndexEntryBytes + 8);
  }
  const int64_t num_skipped = num_skipped_;
  RouterRecord record;
  std::optional<int64_t> before;
  while (Walk(record)) {
    if (record.step >= step) {
      position_ = offset_;
      break;
    }
    before = record.step;
  }
  num_skipped_ = num_skipped;
  if (before.has_value() || (is_ordered_ && StepOf(0) < step)) gaps_.StartAt(step);
}

}  // namespace equipoise
