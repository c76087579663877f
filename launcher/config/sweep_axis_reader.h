#ifndef EQUIPOISE_LAUNCHER_CONFIG_SWEEP_AXIS_READER_H_
#define EQUIPOISE_LAUNCHER_CONFIG_SWEEP_AXIS_READER_H_

#include <cstddef>
#include <initializer_list>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "configs/schema/sweep.pb.h"
#include "launcher/config/field_claims.h"
#include "launcher/config/problem.h"
#include "launcher/config/provenance.h"
#include "launcher/config/sweep_spec.h"
#include "launcher/config/trial_sketch.h"

namespace equipoise::launcher {

// Turns the axes of a sweep into points, and has every value judged by the schema of a
// configuration. All references must outlive it. In what follows, a place is the path of a field in
// the sweep: "axis[0].values[1]".
class SweepAxisReader {
 public:
  // `folder`: of the sweep file, for the paths in it.
  SweepAxisReader(const config::Sweep& sweep, std::string folder, const Provenance& provenance,
                  ProblemList& problems);

  // The changes of every trial. Call it first.
  std::vector<Change> ReadChanges();
  // Takes note of the command line. Call it second.
  void ReadOverrides(const std::vector<std::string>& overrides);
  std::vector<SweepAxis> ReadAxes();
  // Names of the axes that ReadAxes could not read as they stand; "" for one that has none.
  const std::set<std::string>& unsure_axes() const { return unsure_axes_; }

 private:
  // What one field is given, a value a point.
  struct Values {
    std::vector<std::string> texts = {};
    std::vector<std::string> places = {};  // all the same for a range
    bool made_by_range = false;
  };
  // An axis that is being read.
  struct Draft {
    std::string place;
    int index = 0;  // of its claims
    SweepAxis axis = {};
    std::map<std::string, size_t> point_of_key = {};  // equal keys would be equal trials
  };
  struct AxisName {
    std::string place;
    std::string field;
  };

  // Reports, unless what stands at `place` has been reported already.
  void Fail(const std::string& place, std::string what);
  // Fail, unless one of the `parts` of the range has been reported already.
  void FailRange(const std::string& place, std::initializer_list<const char*> parts,
                 std::string what);
  // "file:line"
  std::string Describe(const std::string& place) const;
  // Whether a configuration has the field; reports at `place` otherwise.
  bool HasField(const std::string& field, const std::string& place, const Draft& draft);
  // Has the schema judge a setting that `owner` makes, for point number `point`.
  Change TakeChange(const std::string& text, const std::string& place, const std::string& owner,
                    int axis, size_t point);

  // Whether exactly one of field, zip and point is written; reports otherwise.
  bool HasOneForm(const config::SweepAxis& axis, const std::string& place);
  SweepAxis ReadAxis(const config::SweepAxis& axis, int index);
  void ReadField(const config::SweepAxis& axis, Draft& draft);
  Values FieldValues(const config::SweepAxis& axis, const std::string& place);
  std::vector<std::string> RangeValues(const config::SweepAxis& axis, const std::string& place);
  void ReadZip(const config::SweepAxis& axis, Draft& draft);
  // Whether the field has as many values as the first one; reports otherwise.
  bool CheckZip(const config::SweepAxis& axis, int index, const Draft& draft);
  void ReadPoint(const config::SweepPoint& point, int index, Draft& draft);
  void ReadSeeds(std::vector<SweepAxis>& axes);
  // Adds a point, unless the axis has one with this key.
  void AddPoint(SweepPoint point, const std::string& key, const std::string& place, Draft& draft);
  void CheckName(const std::string& name, const AxisName& axis);

  const config::Sweep& sweep_;
  const std::string folder_;
  const Provenance& provenance_;
  ProblemList& problems_;
  TrialSketch sketch_;
  std::map<std::string, AxisName> names_;
  std::set<std::string> unsure_axes_;
};

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_SWEEP_AXIS_READER_H_
