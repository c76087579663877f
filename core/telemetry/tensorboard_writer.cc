#include "core/telemetry/tensorboard_writer.h"

#include <unistd.h>

#include <bit>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/telemetry/tf_record.h"
#include "core/telemetry/varint.h"

namespace equipoise {
namespace {

constexpr char kFilePrefix[] = "events.out.tfevents.";

// Protocol buffers' wire types, and the fields of tensorflow/core/util/event.proto and
// tensorflow/core/framework/summary.proto that are used.
enum WireType : uint64_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
constexpr uint64_t Key(uint64_t field, WireType type) { return field << 3 | type; }
constexpr uint64_t kEventWallTime = Key(1, kFixed64);
constexpr uint64_t kEventStep = Key(2, kVarint);
constexpr uint64_t kEventFileVersion = Key(3, kBytes);
constexpr uint64_t kEventSummary = Key(5, kBytes);
constexpr uint64_t kSummaryValue = Key(1, kBytes);
constexpr uint64_t kValueTag = Key(1, kBytes);
constexpr uint64_t kValueSimpleValue = Key(2, kFixed32);

template <typename T>
void AppendFixed(uint64_t key, T bits, std::string& out) {
  AppendVarint(key, out);
  for (size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>(bits >> (8 * i));
}

void AppendBytes(uint64_t key, std::string_view bytes, std::string& out) {
  AppendVarint(key, out);
  AppendVarint(bytes.size(), out);
  out += bytes;
}

std::string StartEvent(absl::Time time) {
  std::string event;
  AppendFixed(kEventWallTime,
              std::bit_cast<uint64_t>(absl::ToDoubleSeconds(time - absl::UnixEpoch())), event);
  return event;
}

std::string ScalarValue(const Scalar& scalar) {
  std::string value;
  std::string tag(scalar.family);
  if (!scalar.label_name.empty()) absl::StrAppend(&tag, "/", scalar.label);
  AppendBytes(kValueTag, tag, value);
  AppendFixed(kValueSimpleValue, std::bit_cast<uint32_t>(static_cast<float>(scalar.value)), value);
  return value;
}

// Bytes of an event file up to the first event of a later step, or to the first damaged one.
uint64_t BytesToKeep(std::string_view file, int64_t resumed_step) {
  const size_t size = file.size();
  size_t kept = 0;
  while (const auto event = NextTfRecord(file)) {
    if (StepOfEvent(*event) > resumed_step) break;
    kept = size - file.size();
  }
  return kept;
}

absl::Status CutEarlierFiles(FileSystem& files, const std::string& directory,
                             int64_t resumed_step) {
  EQ_ASSIGN_OR_RETURN(const std::vector<std::string> names, files.List(directory));
  for (const std::string& name : names) {
    if (!absl::StartsWith(name, kFilePrefix)) continue;
    const std::string path = JoinPath(directory, name);
    if (resumed_step < 0) {
      EQ_RETURN_IF_ERROR(files.RemoveAll(path));
      continue;
    }
    EQ_ASSIGN_OR_RETURN(std::unique_ptr<FileView> view, files.Map(path));
    const uint64_t size = view->bytes().size();
    const uint64_t kept = BytesToKeep(view->text(), resumed_step);
    view.reset();
    if (kept < size) EQ_RETURN_IF_ERROR(files.Truncate(path, kept));
  }
  return absl::OkStatus();
}

// A name that no earlier start has taken, in the order of starts for a reader that sorts names.
std::string FreePath(const FileSystem& files, const TensorboardWriter::Options& options) {
  const std::string start = absl::StrCat(kFilePrefix, absl::ToUnixSeconds(options.now()), ".",
                                         options.host, ".", ::getpid(), ".");
  int number = 0;
  while (files.Exists(JoinPath(options.directory, absl::StrCat(start, number)))) ++number;
  return JoinPath(options.directory, absl::StrCat(start, number));
}

}  // namespace

int64_t StepOfEvent(std::string_view event) {
  VarintReader reader(event);
  while (reader.remaining() > 0) {
    const uint64_t key = reader.Next();
    if (key == kEventStep) return static_cast<int64_t>(reader.Next());
    switch (key & 7) {
      case kVarint:
        reader.Next();
        break;
      case kFixed64:
        reader.Bytes(8);
        break;
      case kBytes:
        reader.Bytes(reader.Next());
        break;
      default:
        reader.Bytes(4);
    }
  }
  return 0;
}

absl::StatusOr<std::unique_ptr<StepSink>> TensorboardWriter::Open(FileSystem& file_system,
                                                                  const Options& options) {
  EQ_RETURN_IF_ERROR(file_system.CreateDirectories(options.directory));
  EQ_RETURN_IF_ERROR(CutEarlierFiles(file_system, options.directory, options.resumed_step));
  EQ_ASSIGN_OR_RETURN(auto file, AppendFile::Open(file_system, FreePath(file_system, options), 0));
  std::string event = StartEvent(options.now());
  AppendBytes(kEventFileVersion, "brain.Event:2", event);
  EQ_RETURN_IF_ERROR(file->Append(FrameTfRecord(event)));
  return std::unique_ptr<StepSink>(new TensorboardWriter(std::move(file), options.now));
}

absl::Status TensorboardWriter::WriteScalars(int64_t step, const std::vector<Scalar>& scalars) {
  std::string summary;
  for (const Scalar& scalar : scalars) AppendBytes(kSummaryValue, ScalarValue(scalar), summary);
  std::string event = StartEvent(now_());
  AppendVarint(kEventStep, event);
  AppendVarint(static_cast<uint64_t>(step), event);
  AppendBytes(kEventSummary, summary, event);
  return file_->Append(FrameTfRecord(event));
}

}  // namespace equipoise
