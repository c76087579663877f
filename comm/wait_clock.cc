#include "comm/wait_clock.h"

#include <algorithm>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace equipoise::comm {

std::string OpLabel::ToString() const {
  return absl::StrCat(verb, " #", sequence, " on '", communicator, "', rank ", rank, " of ", size);
}

WaitClock::WaitClock(const WaitOptions& options, const OpLabel& label)
    : options_(options),
      label_(label),
      warn_after_(options.warn_after.value_or(label.patience.warn_after)),
      stop_after_(options.stop_after.value_or(label.patience.stop_after)),
      start_(std::chrono::steady_clock::now()) {}

absl::Status WaitClock::Check(const DescribeMissing& missing) {
  const absl::Duration waited = absl::FromChrono(elapsed());
  const bool stop = waited >= stop_after_;
  const bool warn = !warned_ && waited >= warn_after_;
  if (!stop && !warn) return absl::OkStatus();
  const std::string text = absl::StrCat(
      options_.Describe(), ": ", label_.ToString(), ", has waited ",
      absl::FormatDuration(absl::Trunc(waited, absl::Milliseconds(1))), "; ", missing());
  if (stop) return absl::DeadlineExceededError(text);
  warned_ = true;
  ReportToStderr('W', label_.rank, text);
  return absl::OkStatus();
}

std::chrono::milliseconds WaitClock::UntilNextEvent() const {
  const absl::Duration waited = absl::FromChrono(elapsed());
  absl::Duration left = stop_after_ - waited;
  if (!warned_) left = std::min(left, warn_after_ - waited);
  // Bounded above because condition variables overflow on "never".
  return absl::ToChronoMilliseconds(std::clamp(left, absl::Milliseconds(1), absl::Hours(1)));
}

std::string DescribeMissingRanks(const std::vector<int>& missing, const std::vector<int>& unknown) {
  std::string text;
  if (!missing.empty()) {
    text = absl::StrCat("ranks that have not entered it: ", absl::StrJoin(missing, ", "));
  } else if (unknown.empty()) {
    text = "every rank has entered it and one has not finished";
  } else {
    text = "every rank of this node has entered it";
  }
  if (!unknown.empty()) {
    absl::StrAppend(&text,
                    "; ranks of other nodes, not known from here: ", absl::StrJoin(unknown, ", "));
  }
  return text;
}

void ReportToStderr(char level, int rank, const std::string& text) {
  const std::string line = absl::StrCat(
      absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::Now(), absl::UTCTimeZone()), " ",
      std::string(1, level), rank < 0 ? "" : absl::StrCat(" rank ", rank), " | ", text, "\n");
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fflush(stderr);
}

}  // namespace equipoise::comm
