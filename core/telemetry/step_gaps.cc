#include "core/telemetry/step_gaps.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace equipoise {
namespace {

// A message that lists more helps nobody.
constexpr size_t kMostPlaces = 3;

}  // namespace

void StepGaps::Add(int64_t num_records) {
  if (num_records > 0) gaps_.push_back({last_, num_records});
  damaged_ = 0;
}

void StepGaps::See(int64_t step) {
  const int64_t between = last_.has_value() ? step - *last_ - 1 : 0;
  Add(std::max(between, damaged_));
  last_ = std::max(step, last_.value_or(step));
}

void StepGaps::End(int64_t num_expected) { Add(std::max(num_expected, damaged_)); }

int64_t StepGaps::num_missing() const {
  int64_t sum = 0;
  for (const Gap& gap : gaps_) sum += gap.num_records;
  return sum;
}

std::string StepGaps::Describe() const {
  std::string text;
  int64_t rest = 0;
  for (size_t i = 0; i < gaps_.size(); ++i) {
    const auto& [after, count] = gaps_[i];
    if (i >= kMostPlaces) {
      rest += count;
      continue;
    }
    absl::StrAppend(&text, i == 0 ? "" : "; ", count,
                    count == 1 ? " record is missing " : " records are missing ",
                    after.has_value() ? absl::StrCat("after step ", *after) : "at the beginning");
  }
  if (rest > 0) {
    absl::StrAppend(&text, "; and ", rest, " more in ", gaps_.size() - kMostPlaces, " places");
  }
  return text;
}

}  // namespace equipoise
