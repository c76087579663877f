#include "core/base/log.h"

#include <array>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace equipoise {
namespace {

constexpr std::array<char, 3> kLetters = {'I', 'W', 'E'};

}  // namespace

Logger::Logger(int rank, std::FILE* file, LogLevel console_level)
    : rank_(rank), console_level_(console_level), file_(file) {}

Logger::~Logger() {
  if (file_ != nullptr) std::fclose(file_);
}

void Logger::Write(LogLevel level, std::string_view text) {
  const char letter = kLetters[static_cast<size_t>(level)];
  const std::string line =
      absl::StrCat(absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::Now(), absl::UTCTimeZone()), " ",
                   absl::string_view(&letter, 1), " rank ", rank_, " | ",
                   absl::string_view(text.data(), text.size()), "\n");
  const std::lock_guard<std::mutex> lock(mutex_);
  if (file_ != nullptr) {
    std::fwrite(line.data(), 1, line.size(), file_);
    std::fflush(file_);
  }
  if (level >= console_level_) {
    std::fwrite(line.data(), 1, line.size(), stderr);
    std::fflush(stderr);
  }
}

}  // namespace equipoise
