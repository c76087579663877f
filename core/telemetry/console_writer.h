#ifndef EQUIPOISE_CORE_TELEMETRY_CONSOLE_WRITER_H_
#define EQUIPOISE_CORE_TELEMETRY_CONSOLE_WRITER_H_

#include <cstdio>
#include <string_view>

#include "absl/time/time.h"

namespace equipoise {

// Writes to a stream that people look at, past its buffer, without ever waiting long for a reader:
// a pipe or terminal that nobody reads (a pager, a terminal put to rest, an mpirun that is about to
// end) must not hold a run up. What cannot be written in time is lost; after an error nothing more
// is written. The program must ignore SIGPIPE. Not thread-safe.
class ConsoleWriter {
 public:
  static constexpr absl::Duration kPatience = absl::Milliseconds(50);

  // `out` is not owned and may be null: then nothing is written.
  explicit ConsoleWriter(std::FILE* out);
  ~ConsoleWriter();
  ConsoleWriter(const ConsoleWriter&) = delete;
  ConsoleWriter& operator=(const ConsoleWriter&) = delete;

  // Waits at most `patience` in all; not at all if the last text did not get through.
  void Write(std::string_view text, absl::Duration patience = kPatience);

 private:
  int descriptor_ = -1;  // -1: nothing to write to, or no longer
  bool owned_ = false;   // the descriptor is ours to close
  bool late_ = false;    // the last text was not written whole
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_TELEMETRY_CONSOLE_WRITER_H_
