#ifndef EQUIPOISE_LAUNCHER_CONFIG_TRIAL_SKETCH_H_
#define EQUIPOISE_LAUNCHER_CONFIG_TRIAL_SKETCH_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "configs/schema/run.pb.h"
#include "launcher/config/binder.h"
#include "launcher/config/field_claims.h"
#include "launcher/config/problem.h"
#include "launcher/config/provenance.h"

namespace equipoise::launcher {

// Stands for all trials of a sweep: takes every setting once, one after the other, so that the
// schema of a configuration can judge it before any trial is put together. Belongs to one thread;
// `problems` must outlive it.
class TrialSketch {
 public:
  explicit TrialSketch(ProblemList& problems)
      : problems_(problems), binder_(config_, "a configuration", provenance_, problems) {}

  // Whether a configuration has a field `path` that a sweep can set; reports at `where` otherwise.
  bool HasField(const std::string& path, const Location& where);
  // Takes "PATH=VALUE" of the sweep file, under the name of the claim's owner and at its place.
  // Reports what is wrong with it, and an earlier claim on a field that it sets.
  void Take(const std::string& text, const FieldClaim& claim);
  // As Take, of the command line, "--set #`number`": it wins over what the file sets for every
  // trial, as it does for a single run.
  void TakeOverride(const std::string& text, int number);

  // FieldClaim::axis of what is the same in every trial.
  static constexpr int kEveryTrial = -1;

 private:
  // Lays the text over the configuration, its problems at `source`; its PATH if there is such a
  // field.
  std::optional<std::string> Bind(const std::string& text, const Location& source);
  // What was set since `num_texts` below `path`: a block has fields of its own.
  std::vector<std::string> FieldsBelow(const std::string& path, int num_texts) const;
  // "axis lr at sweep.textproto:3"
  std::string Describe(const FieldClaim& claim) const;

  ProblemList& problems_;
  config::RunConfig config_;
  Provenance provenance_{Location{}};
  Binder binder_;
  FieldClaims claims_;
};

// The PATH of "PATH=VALUE".
std::string PathOf(absl::string_view change);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_TRIAL_SKETCH_H_
