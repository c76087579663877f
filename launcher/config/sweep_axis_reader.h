#ifndef EQUIPOISE_LAUNCHER_CONFIG_SWEEP_AXIS_READER_H_
#define EQUIPOISE_LAUNCHER_CONFIG_SWEEP_AXIS_READER_H_

#include <initializer_list>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "configs/schema/run.pb.h"
#include "configs/schema/sweep.pb.h"
#include "launcher/config/binder.h"
#include "launcher/config/problem.h"
#include "launcher/config/provenance.h"
#include "launcher/config/sweep_spec.h"

namespace equipoise::launcher {

// Turns the axes of a sweep into points, and checks every value against the schema of a
// configuration. Two places that set one field are reported: which of them would win is nothing a
// reader of the file could tell. All references must outlive it.
class SweepAxisReader {
 public:
  // `folder`: of the sweep file, for the paths in it.
  SweepAxisReader(const config::Sweep& sweep, std::string folder, const Provenance& provenance,
                  ProblemList& problems);

  // The overrides of every trial: those of the file, then `command_line`. Call it first.
  std::vector<std::string> ReadOverrides(const std::vector<std::string>& command_line);
  std::vector<SweepAxis> ReadAxes();
  // Names of the axes that ReadAxes could not read as they stand; "" for one that has none.
  const std::set<std::string>& unsure_axes() const { return unsure_axes_; }

 private:
  // Reports, unless what stands at `place` has been reported already.
  void Fail(const std::string& place, std::string what);
  // Whether exactly one of field, zip and point is written; reports otherwise.
  bool HasOneForm(const config::SweepAxis& axis, const std::string& place);
  SweepAxis ReadAxis(const config::SweepAxis& axis, const std::string& place);
  void ReadField(const config::SweepAxis& axis, const std::string& place, SweepAxis& read);
  // Fail, unless one of the `parts` of the range has been reported already.
  void FailRange(const std::string& place, std::initializer_list<const char*> parts,
                 std::string what);
  std::vector<std::string> FieldValues(const config::SweepAxis& axis, const std::string& place);
  void ReadZip(const config::SweepAxis& axis, const std::string& place, SweepAxis& read);
  void ReadPoints(const config::SweepAxis& axis, const std::string& place, SweepAxis& read);
  SweepPoint ReadPoint(const config::SweepPoint& point, const std::string& place,
                       const std::string& owner);
  void ReadSeeds(std::vector<SweepAxis>& axes);
  void CheckNames(const std::vector<SweepAxis>& axes);

  // Tries "PATH=VALUE" on a configuration. `owner` says who sets the field ("axis lr"), `name` what
  // to call the text in a report; a field that another owner set is a problem.
  void TryOverride(const std::string& text, const std::string& name, const std::string& owner);
  // "file:line:col" of a field of the sweep.
  std::string Describe(const std::string& place) const;

  const config::Sweep& sweep_;
  const std::string folder_;
  const Provenance& provenance_;
  ProblemList& problems_;
  // Stands for a trial: takes every value once, so that the schema can judge it.
  config::RunConfig scratch_;
  Provenance scratch_provenance_{Location{}};
  Binder scratch_binder_;
  std::map<std::string, std::string> owner_of_field_;
  std::set<std::string> unsure_axes_;
};

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_SWEEP_AXIS_READER_H_
