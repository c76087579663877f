#include "core/telemetry/console_writer.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace equipoise {
namespace {

// The same pipe or terminal, opened once more so that it does not block us; its other users, with
// whom the first description is shared, notice nothing. -1 for what cannot be opened so.
int OpenWithoutBlocking(int descriptor) {
  struct stat about = {};
  if (::fstat(descriptor, &about) != 0) return -1;
  if (!S_ISFIFO(about.st_mode) && !S_ISCHR(about.st_mode)) return -1;
  const std::string path = absl::StrCat("/proc/self/fd/", descriptor);
  return ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

// Whether `descriptor` takes some bytes (or has an error to tell) by `deadline`.
bool AwaitRoom(int descriptor, absl::Time deadline) {
  pollfd wanted = {descriptor, POLLOUT, 0};
  const absl::Duration left = std::max(deadline - absl::Now(), absl::ZeroDuration());
  return ::poll(&wanted, 1, static_cast<int>(absl::ToInt64Milliseconds(left))) > 0;
}

}  // namespace

ConsoleWriter::ConsoleWriter(std::FILE* out) {
  if (out == nullptr) return;
  const int opened = OpenWithoutBlocking(::fileno(out));
  owned_ = opened >= 0;
  descriptor_ = owned_ ? opened : ::fileno(out);
}

ConsoleWriter::~ConsoleWriter() {
  if (owned_) ::close(descriptor_);
}

void ConsoleWriter::Write(std::string_view text, absl::Duration patience) {
  if (descriptor_ < 0) return;
  const absl::Time deadline = absl::Now() + (late_ ? absl::ZeroDuration() : patience);
  late_ = false;
  while (!text.empty()) {
    if (!AwaitRoom(descriptor_, deadline)) break;
    const ssize_t written = ::write(descriptor_, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EAGAIN && errno != EINTR) {
      if (owned_) ::close(descriptor_);
      owned_ = false;
      descriptor_ = -1;
      return;
    } else if (absl::Now() >= deadline) {
      break;
    }
  }
  late_ = !text.empty();
}

}  // namespace equipoise
