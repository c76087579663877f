#ifndef EQUIPOISE_CORE_BASE_LOG_H_
#define EQUIPOISE_CORE_BASE_LOG_H_

#include <cstdio>
#include <mutex>
#include <string>
#include <string_view>

namespace equipoise {

enum class LogLevel { kInfo, kWarning, kError };

// Writes lines `2026-01-31T12:00:00Z I rank 3 | text` to a file, and those at or above
// `console_level` to stderr as well. One per rank, passed to whoever needs it: there is no
// process-wide logger, so that several worlds can live in one process. Thread-safe.
class Logger {
 public:
  // `file` may be null (console only); the logger closes it. Rank 0 usually gets
  // `console_level` kInfo, other ranks kError, so that a message appears once.
  Logger(int rank, std::FILE* file, LogLevel console_level);
  ~Logger();
  Logger(const Logger&) = delete;
  Logger& operator=(const Logger&) = delete;

  void Info(std::string_view text) { Write(LogLevel::kInfo, text); }
  void Warning(std::string_view text) { Write(LogLevel::kWarning, text); }
  void Error(std::string_view text) { Write(LogLevel::kError, text); }

 private:
  void Write(LogLevel level, std::string_view text);

  const int rank_;
  const LogLevel console_level_;
  std::mutex mutex_;
  std::FILE* file_;  // guarded by mutex_
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_BASE_LOG_H_
