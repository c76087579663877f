#ifndef EQUIPOISE_LAUNCHER_SWEEP_TRIAL_FAULTS_H_
#define EQUIPOISE_LAUNCHER_SWEEP_TRIAL_FAULTS_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "launcher/config/sweep_spec.h"

namespace equipoise::launcher {

// A point of each axis, by index.
using Combination = std::vector<size_t>;

// What is wrong with the trials of a sweep: each fault once, however many trials have it, with the
// points that make it and their places in the file. Belongs to one thread; the axes and the trials
// must outlive it.
//
// The points that make a fault are found by comparing trials. An axis has no part in it if every
// trial that differs from a faulty one in that axis alone is faulty too; an axis with a single
// point cannot be ruled out.
class TrialFaults {
 public:
  TrialFaults(const std::vector<SweepAxis>& axes, const std::vector<Combination>& trials);

  // `trial`: index into the trials. `report`: ends with a line break, equal for equal faults.
  void Add(size_t trial, const std::string& report);
  // The trial has the same configuration as an earlier one.
  void AddSame(size_t trial, size_t earlier);

  bool empty() const { return reports_.empty(); }
  // Each report and, indented, its trials; of very many faults the first.
  std::string ToString() const;

 private:
  // The trial with its point on `axis` left out, as a number below the number of combinations.
  size_t Group(const Combination& trial, size_t axis) const;
  bool HasPart(size_t axis, const std::vector<size_t>& faulty) const;
  std::string PointsOf(const Combination& trial, const std::vector<size_t>& axes) const;
  // "in 2 of 8 trials: those with a=1 (sweep.textproto:3) and b=2 (sweep.textproto:4)"
  std::string Describe(const std::vector<size_t>& faulty) const;

  const std::vector<SweepAxis>& axes_;
  const std::vector<Combination>& trials_;
  std::vector<size_t> strides_;  // of the axes in the numbering of combinations
  size_t num_combinations_ = 1;
  std::vector<std::string> reports_;  // in the order they came
  std::map<std::string, std::vector<size_t>> trials_of_;
};

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_SWEEP_TRIAL_FAULTS_H_
