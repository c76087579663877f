#include "launcher/sweep/trial_faults.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace equipoise::launcher {

TrialFaults::TrialFaults(const std::vector<SweepAxis>& axes, const std::vector<Combination>& trials)
    : axes_(axes), trials_(trials) {
  for (const SweepAxis& axis : axes) {
    strides_.push_back(num_combinations_);
    num_combinations_ *= axis.points.size();
  }
}

void TrialFaults::Add(size_t trial, const std::string& report) {
  std::vector<size_t>& trials = trials_of_[report];
  if (trials.empty()) reports_.push_back(report);
  trials.push_back(trial);
}

void TrialFaults::AddSame(size_t trial, size_t earlier) {
  std::vector<size_t> differ;
  for (size_t axis = 0; axis < axes_.size(); ++axis) {
    if (trials_[trial][axis] != trials_[earlier][axis]) differ.push_back(axis);
  }
  Add(trial, absl::StrCat(PointsOf(trials_[trial], differ), " makes the same configuration as ",
                          PointsOf(trials_[earlier], differ),
                          ": what it sets, the base or another axis sets as well; leave it out, "
                          "or skip the combination\n"));
}

size_t TrialFaults::Group(const Combination& trial, size_t axis) const {
  size_t number = 0;
  for (size_t i = 0; i < trial.size(); ++i) number += i == axis ? 0 : trial[i] * strides_[i];
  return number;
}

bool TrialFaults::HasPart(size_t axis, const std::vector<size_t>& faulty) const {
  if (axes_[axis].points.size() == 1) return !axes_[axis].is_seed;
  // Of the trials that differ in this axis alone: how many there are, and how many are faulty.
  std::vector<int> all(num_combinations_, 0);
  std::vector<int> bad(num_combinations_, 0);
  for (const Combination& trial : trials_) ++all[Group(trial, axis)];
  for (const size_t trial : faulty) ++bad[Group(trials_[trial], axis)];
  bool compared = false;
  for (const size_t trial : faulty) {
    const size_t group = Group(trials_[trial], axis);
    if (bad[group] < all[group]) return true;
    compared = compared || all[group] > 1;
  }
  return !compared;
}

std::string TrialFaults::PointsOf(const Combination& trial, const std::vector<size_t>& axes) const {
  std::vector<std::string> points;
  for (const size_t axis : axes) {
    const SweepPoint& point = axes_[axis].points[trial[axis]];
    points.push_back(absl::StrCat(axes_[axis].name, "=", point.label, " (", point.place, ")"));
  }
  return absl::StrJoin(points, " and ");
}

std::string TrialFaults::Describe(const std::vector<size_t>& faulty) const {
  constexpr size_t kMostNamed = 3;
  std::vector<size_t> axes;
  for (size_t axis = 0; axis < axes_.size(); ++axis) {
    if (HasPart(axis, faulty)) axes.push_back(axis);
  }
  std::vector<std::string> named;
  for (size_t i = 0; i < faulty.size() && named.size() <= kMostNamed && !axes.empty(); ++i) {
    const std::string points = PointsOf(trials_[faulty[i]], axes);
    if (std::find(named.begin(), named.end(), points) == named.end()) named.push_back(points);
  }
  if (named.size() > kMostNamed) named.back() = "others";
  const std::string which = absl::StrJoin(named, "; or with ");
  if (faulty.size() == trials_.size()) {
    return absl::StrCat("in every trial", which.empty() ? "" : ": with ", which);
  }
  return absl::StrCat("in ", faulty.size(), " of ", trials_.size(), " trials: those with ", which);
}

std::string TrialFaults::ToString() const {
  constexpr size_t kMostTold = 20;
  std::string text;
  const size_t told = std::min(reports_.size(), kMostTold);
  for (size_t i = 0; i < told; ++i) {
    absl::StrAppend(&text, reports_[i], "    ", Describe(trials_of_.at(reports_[i])), "\n");
  }
  if (told < reports_.size()) {
    absl::StrAppend(&text, "and ", reports_.size() - told, " more faults of this kind\n");
  }
  return text;
}

}  // namespace equipoise::launcher
