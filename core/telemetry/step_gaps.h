#ifndef EQUIPOISE_CORE_TELEMETRY_STEP_GAPS_H_
#define EQUIPOISE_CORE_TELEMETRY_STEP_GAPS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace equipoise {

// What a file that has a record of every step lacks, found while it is read in order: damaged
// records, and steps that are not there. A value.
class StepGaps {
 public:
  // `num_records` are missing after step `after`; none: at the file's beginning.
  struct Gap {
    std::optional<int64_t> after;
    int64_t num_records = 0;
  };

  // The next record is not that of a file's first step but of the first one from `step` on.
  void StartAt(int64_t step) { last_ = step - 1; }
  // A record of this step is there. One that is no later than the last is the same step again.
  void See(int64_t step);
  // A record that cannot be read, between what was seen and what is seen next.
  void Damage() { ++damaged_; }
  // Nothing follows, although so many records would have to.
  void End(int64_t num_expected);

  bool empty() const { return gaps_.empty(); }
  const std::vector<Gap>& gaps() const { return gaps_; }
  int64_t num_missing() const;
  std::optional<int64_t> last() const { return last_; }
  // "27 records are missing after step 12; 1 record is missing after step 99", the first three
  // gaps by place; empty if there are none.
  std::string Describe() const;

 private:
  void Add(int64_t num_records);

  std::vector<Gap> gaps_;
  std::optional<int64_t> last_;
  int64_t damaged_ = 0;  // since `last_`
};

}  // namespace equipoise

#endif  // EQUIPOISE_CORE_TELEMETRY_STEP_GAPS_H_
