#include "core/telemetry/router_log_reader.h"

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
  const auto step_of = [&](uint64_t entry) {
    return static_cast<int64_t>(router_log::Fixed64(index_.data() + entry * kIndexEntryBytes));
  };
  uint64_t low = 0;
  uint64_t high = index_.size() / kIndexEntryBytes;
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    if (step_of(middle) < step) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  // From the last one before `step`: the index may lack the newest records.
  if (low > 0 && IsSound(low - 1)) {
    position_ = router_log::Fixed64(index_.data() + (low - 1) * kIndexEntryBytes + 8);
  }
  RouterRecord record;
  const int64_t num_skipped = num_skipped_;
  while (Next(record)) {
    if (record.step < step) continue;
    position_ = offset_;
    break;
  }
  num_skipped_ = num_skipped;
}

}  // namespace equipoise
