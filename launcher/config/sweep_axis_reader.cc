#include "launcher/config/sweep_axis_reader.h"

#include <cstdint>
#include <filesystem>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "launcher/config/sweep_values.h"
#include "launcher/config/text_file.h"

namespace equipoise::launcher {
namespace {

constexpr char kSeedField[] = "seed";

std::string LastPart(const std::string& path) { return path.substr(path.find_last_of('.') + 1); }

// Its own name, or that of its first field; empty if it has none of them.
std::string NameOf(const config::SweepAxis& axis) {
  if (!axis.name().empty()) return axis.name();
  if (!axis.field().empty()) return LastPart(axis.field());
  return axis.zip_size() > 0 ? LastPart(axis.zip(0).field()) : "";
}

}  // namespace

SweepAxisReader::SweepAxisReader(const config::Sweep& sweep, std::string folder,
                                 const Provenance& provenance, ProblemList& problems)
    : sweep_(sweep),
      folder_(std::move(folder)),
      provenance_(provenance),
      problems_(problems),
      sketch_(problems) {}

void SweepAxisReader::Fail(const std::string& place, std::string what) {
  if (provenance_.IsBroken(place)) return;
  problems_.Add(provenance_.Find(place), std::move(what));
}

void SweepAxisReader::FailRange(const std::string& place, std::initializer_list<const char*> parts,
                                std::string what) {
  for (const char* part : parts) {
    if (provenance_.IsBroken(JoinPath(place, part))) return;
  }
  Fail(place, std::move(what));
}

std::string SweepAxisReader::Describe(const std::string& place) const {
  return problems_.Describe(provenance_.Find(place));
}

bool SweepAxisReader::HasField(const std::string& field, const std::string& place,
                               const Draft& draft) {
  Location where;
  where.source = problems_.AddSourceAt(provenance_.Find(place), "axis " + draft.axis.name);
  return sketch_.HasField(field, where);
}

Change SweepAxisReader::TakeChange(const std::string& text, const std::string& place,
                                   const std::string& owner, int axis, size_t point) {
  sketch_.Take(text, {owner, provenance_.Find(place), axis, static_cast<int>(point)});
  return {text, absl::StrCat(Describe(place), ": ", owner)};
}

std::vector<Change> SweepAxisReader::ReadChanges() {
  std::vector<Change> changes;
  for (int i = 0; i < sweep_.set_size(); ++i) {
    changes.push_back(TakeChange(sweep_.set(i), absl::StrCat("set[", i, "]"),
                                 absl::StrCat("set \"", sweep_.set(i), "\""),
                                 TrialSketch::kEveryTrial, 0));
  }
  return changes;
}

void SweepAxisReader::ReadOverrides(const std::vector<std::string>& overrides) {
  for (size_t i = 0; i < overrides.size(); ++i) {
    sketch_.TakeOverride(overrides[i], static_cast<int>(i) + 1);
  }
}

std::vector<SweepAxis> SweepAxisReader::ReadAxes() {
  std::vector<SweepAxis> axes;
  for (int i = 0; i < sweep_.axis_size(); ++i) {
    const config::SweepAxis& axis = sweep_.axis(i);
    const std::string place = absl::StrCat("axis[", i, "]");
    const size_t before = problems_.size();
    const bool is_readable = HasOneForm(axis, place);
    if (is_readable) {
      axes.push_back(ReadAxis(axis, i));
      CheckName(axes.back().name, {place, axis.field()});
    }
    if (!is_readable || problems_.size() > before) unsure_axes_.insert(NameOf(axis));
  }
  ReadSeeds(axes);
  if (sweep_.axis_size() == 0 && sweep_.seeds_size() == 0 && !provenance_.IsBroken("seeds")) {
    Fail("axis", "the sweep is empty: it needs an axis or seeds");
  }
  return axes;
}

bool SweepAxisReader::HasOneForm(const config::SweepAxis& axis, const std::string& place) {
  for (const char* part : {".field", ".values", ".range", ".log_range", ".zip", ".point"}) {
    if (provenance_.IsBroken(place + part)) return false;
  }
  const int forms = (axis.field().empty() ? 0 : 1) + (axis.zip_size() > 0 ? 1 : 0) +
                    (axis.point_size() > 0 ? 1 : 0);
  const bool has_values = axis.values_size() > 0 || axis.has_range() || axis.has_log_range();
  if (forms != 1) {
    Fail(place, absl::StrCat("an axis has exactly one of field, zip and point; this one has ",
                             forms == 0 ? "none" : "several"));
  } else if (has_values && axis.field().empty()) {
    Fail(place, "values, range and log_range belong to an axis with a field");
  } else {
    return true;
  }
  return false;
}

SweepAxis SweepAxisReader::ReadAxis(const config::SweepAxis& axis, int index) {
  Draft draft;
  draft.place = absl::StrCat("axis[", index, "]");
  draft.index = index;
  draft.axis.name = NameOf(axis);
  if (!axis.field().empty()) {
    ReadField(axis, draft);
  } else if (axis.zip_size() > 0) {
    ReadZip(axis, draft);
  } else {
    if (draft.axis.name.empty()) Fail(draft.place + ".name", "an axis of points needs a name");
    for (int i = 0; i < axis.point_size(); ++i) {
      ReadPoint(axis.point(i), i, draft);
    }
  }
  return std::move(draft.axis);
}

void SweepAxisReader::AddPoint(SweepPoint point, const std::string& key, const std::string& place,
                               Draft& draft) {
  point.place = Describe(place);
  const auto [entry, is_new] = draft.point_of_key.emplace(key, draft.axis.points.size());
  if (is_new) {
    draft.axis.points.push_back(std::move(point));
    return;
  }
  const SweepPoint& first = draft.axis.points[entry->second];
  Fail(place,
       absl::StrCat("axis ", draft.axis.name, " has the point ", point.label, " twice: first ",
                    first.label == point.label ? "" : absl::StrCat("as ", first.label, " "), "at ",
                    first.place, "; leave one of them out",
                    draft.axis.is_seed ? "" : ", and repeat trials with seeds"));
}

void SweepAxisReader::ReadField(const config::SweepAxis& axis, Draft& draft) {
  // Of a range that goes wrong more often than this, the first are enough.
  constexpr int kMostTold = 5;
  draft.axis.is_seed = axis.field() == kSeedField;
  const Values values = FieldValues(axis, draft.place);
  if (!HasField(axis.field(), draft.place + ".field", draft)) return;
  const std::string owner = "axis " + draft.axis.name;
  int wrong = 0;
  for (size_t i = 0; i < values.texts.size(); ++i) {
    SweepPoint point;
    point.label = values.texts[i];
    const size_t before = problems_.size();
    point.changes.push_back(TakeChange(absl::StrCat(axis.field(), "=", point.label),
                                       values.places[i], owner, draft.index, i));
    AddPoint(std::move(point), CanonicalValue(values.texts[i]), values.places[i], draft);
    if (problems_.size() == before || !values.made_by_range || ++wrong < kMostTold) continue;
    const size_t left = values.texts.size() - i - 1;
    if (left > 0) {
      Fail(values.places[i],
           absl::StrCat(owner, ": the other ", left, " values of the range were not looked at"));
    }
    return;
  }
}

SweepAxisReader::Values SweepAxisReader::FieldValues(const config::SweepAxis& axis,
                                                     const std::string& place) {
  Values values;
  const int forms = (axis.values_size() > 0 ? 1 : 0) + (axis.has_range() ? 1 : 0) +
                    (axis.has_log_range() ? 1 : 0);
  if (forms != 1) {
    Fail(place, absl::StrCat("axis of ", axis.field(), forms == 0 ? " has no values: it" : "",
                             " needs exactly one of values, range and log_range"));
  } else if (axis.values_size() > 0) {
    for (int i = 0; i < axis.values_size(); ++i) {
      values.texts.push_back(axis.values(i));
      values.places.push_back(absl::StrCat(place, ".values[", i, "]"));
    }
  } else {
    values.made_by_range = true;
    values.texts = RangeValues(axis, place);
    values.places.assign(values.texts.size(), place + (axis.has_range() ? ".range" : ".log_range"));
  }
  return values;
}

std::vector<std::string> SweepAxisReader::RangeValues(const config::SweepAxis& axis,
                                                      const std::string& place) {
  if (axis.has_log_range()) {
    const config::SweepLogRange& range = axis.log_range();
    if (range.has_from() && range.has_to() && range.has_count()) return ValuesOf(range);
    FailRange(place + ".log_range", {"from", "to", "count"}, "log_range needs from, to and count");
    return {};
  }
  const config::SweepRange& range = axis.range();
  if (!range.has_from() || !range.has_to() || !range.has_step()) {
    FailRange(place + ".range", {"from", "to", "step"}, "range needs from, to and step");
  } else if (NumValues(range) > kMostValues) {
    Fail(place + ".range", absl::StrCat("range has more than ", kMostValues,
                                        " values; take a larger step, or a log_range"));
  } else {
    return ValuesOf(range);
  }
  return {};
}

bool SweepAxisReader::CheckZip(const config::SweepAxis& axis, int index, const Draft& draft) {
  const config::SweepZip& zip = axis.zip(index);
  const std::string place = absl::StrCat(draft.place, ".zip[", index, "]");
  const int length = axis.zip(0).values_size();
  if (index == 0 && length == 0) Fail(place + ".values", "zip has no values");
  if (zip.values_size() != length) {
    Fail(place + ".values",
         absl::StrCat("fields of a zip step together, so they need equally many values: ",
                      axis.zip(0).field(), " has ", length, ", ", zip.field(), " has ",
                      zip.values_size()));
  }
  if (zip.field().empty()) {
    Fail(place + ".field", "zip needs a field");
    return false;
  }
  return HasField(zip.field(), place + ".field", draft) && zip.values_size() == length;
}

void SweepAxisReader::ReadZip(const config::SweepAxis& axis, Draft& draft) {
  const std::string owner = "axis " + draft.axis.name;
  std::vector<SweepPoint> points(static_cast<size_t>(axis.zip(0).values_size()));
  std::vector<std::string> keys(points.size());
  bool is_whole = true;
  for (int i = 0; i < axis.zip_size(); ++i) {
    const bool fits = CheckZip(axis, i, draft);
    is_whole = is_whole && fits;
    if (!fits) continue;
    for (size_t j = 0; j < points.size(); ++j) {
      const std::string& value = axis.zip(i).values(static_cast<int>(j));
      absl::StrAppend(&points[j].label, points[j].label.empty() ? "" : "/", value);
      absl::StrAppend(&keys[j], CanonicalValue(value), "/");
      points[j].changes.push_back(TakeChange(
          absl::StrCat(axis.zip(i).field(), "=", value),
          absl::StrCat(draft.place, ".zip[", i, "].values[", j, "]"), owner, draft.index, j));
    }
  }
  for (size_t j = 0; is_whole && j < points.size(); ++j) {
    AddPoint(std::move(points[j]), keys[j], absl::StrCat(draft.place, ".zip[0].values[", j, "]"),
             draft);
  }
}

void SweepAxisReader::ReadPoint(const config::SweepPoint& point, int index, Draft& draft) {
  const std::string place = absl::StrCat(draft.place, ".point[", index, "]");
  SweepPoint read;
  read.label = point.name();
  if (read.label.empty()) Fail(place + ".name", "a point needs a name");
  for (int i = 0; i < point.config_size(); ++i) {
    const std::string path =
        (std::filesystem::path(folder_) / point.config(i)).lexically_normal().string();
    read.fragments.push_back(path);
    const absl::StatusOr<std::string> text = ReadConfigText(path);
    if (text.ok()) continue;
    Fail(absl::StrCat(place, ".config[", i, "]"),
         absl::StrCat("config \"", point.config(i), "\": ", path, ": ", text.status().message()));
  }
  for (int i = 0; i < point.set_size(); ++i) {
    read.changes.push_back(
        TakeChange(point.set(i), absl::StrCat(place, ".set[", i, "]"),
                   absl::StrCat("axis ", draft.axis.name, ", point ", read.label), draft.index,
                   static_cast<size_t>(index)));
  }
  if (!read.label.empty()) AddPoint(std::move(read), CanonicalValue(point.name()), place, draft);
}

void SweepAxisReader::ReadSeeds(std::vector<SweepAxis>& axes) {
  if (sweep_.seeds_size() == 0) return;
  Draft draft;
  draft.place = "seeds";
  draft.index = sweep_.axis_size();
  draft.axis.name = kSeedField;
  draft.axis.is_seed = true;
  for (int i = 0; i < sweep_.seeds_size(); ++i) {
    const std::string place = absl::StrCat("seeds[", i, "]");
    SweepPoint point;
    point.label = absl::StrCat(sweep_.seeds(i));
    point.changes.push_back(TakeChange(absl::StrCat(kSeedField, "=", point.label), place, "seeds",
                                       draft.index, static_cast<size_t>(i)));
    AddPoint(std::move(point), absl::StrCat(sweep_.seeds(i)), place, draft);
  }
  CheckName(kSeedField, {"seeds", kSeedField});
  axes.push_back(std::move(draft.axis));
}

void SweepAxisReader::CheckName(const std::string& name, const AxisName& axis) {
  if (name.empty()) return;
  if (name.find('=') != std::string::npos) {
    Fail(axis.place, absl::StrCat("the name of an axis has no '=', for conditions have it behind "
                                  "the name: \"",
                                  name, "\""));
  }
  const auto [first, is_new] = names_.emplace(name, axis);
  // Two axes of one field have been told of.
  if (is_new || (!axis.field.empty() && first->second.field == axis.field)) return;
  Fail(axis.place,
       absl::StrCat("two axes are called ", name, ": this one and that at ",
                    Describe(first->second.place), "; give one of them a name of its own"));
}

}  // namespace equipoise::launcher
