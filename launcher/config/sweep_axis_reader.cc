#include "launcher/config/sweep_axis_reader.h"

#include <cstddef>
#include <filesystem>
#include <set>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "launcher/config/sweep_values.h"
#include "launcher/config/text_file.h"

namespace equipoise::launcher {
namespace {

constexpr char kSeedField[] = "seed";

std::string PathOf(absl::string_view override_text) {
  return std::string(absl::StripAsciiWhitespace(override_text.substr(0, override_text.find('='))));
}

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
      scratch_binder_(scratch_, "a configuration", scratch_provenance_, problems) {}

void SweepAxisReader::Fail(const std::string& place, std::string what) {
  if (provenance_.IsBroken(place)) return;
  problems_.Add(provenance_.Find(place), std::move(what));
}

std::string SweepAxisReader::Describe(const std::string& place) const {
  return problems_.Describe(provenance_.Find(place));
}

void SweepAxisReader::TryOverride(const std::string& text, const std::string& name,
                                  const std::string& owner) {
  Location where;
  where.source = problems_.AddSource(name, "", /*is_file=*/false);
  const size_t equals = text.find('=');
  if (equals == std::string::npos) {
    return problems_.Add(where, "expected PATH=VALUE, as in moe.top_k=2");
  }
  const std::string path = PathOf(text);
  if (path == "include") {
    return problems_.Add(where, "include has no effect here: it belongs into a file");
  }
  scratch_binder_.BindOverride(path, absl::string_view(text).substr(equals + 1), where.source);
  const auto [entry, is_new] = owner_of_field_.emplace(path, owner);
  if (is_new || entry->second == owner) return;
  problems_.Add(where, absl::StrCat(path, " has two values in one trial: ", entry->second, " and ",
                                    owner, " both set it"));
}

std::vector<std::string> SweepAxisReader::ReadOverrides(
    const std::vector<std::string>& command_line) {
  std::vector<std::string> overrides;
  std::set<std::string> seen;
  for (int i = 0; i < sweep_.set_size(); ++i) {
    const std::string place = absl::StrCat("set[", i, "]");
    if (!seen.insert(PathOf(sweep_.set(i))).second) {
      Fail(place, absl::StrCat("set: ", PathOf(sweep_.set(i)), " is given two values"));
    }
    TryOverride(sweep_.set(i), absl::StrCat(Describe(place), ": set \"", sweep_.set(i), "\""),
                "set");
    overrides.push_back(sweep_.set(i));
  }
  for (size_t i = 0; i < command_line.size(); ++i) {
    // The command line wins over the file, as it does for a single run.
    owner_of_field_.erase(PathOf(command_line[i]));
    TryOverride(command_line[i], absl::StrCat("--set #", i + 1, " '", command_line[i], "'"),
                "--set");
    overrides.push_back(command_line[i]);
  }
  return overrides;
}

std::vector<SweepAxis> SweepAxisReader::ReadAxes() {
  std::vector<SweepAxis> axes;
  for (int i = 0; i < sweep_.axis_size(); ++i) {
    const std::string place = absl::StrCat("axis[", i, "]");
    const size_t before = problems_.size();
    const bool is_readable = HasOneForm(sweep_.axis(i), place);
    if (is_readable) axes.push_back(ReadAxis(sweep_.axis(i), place));
    if (!is_readable || problems_.size() > before) unsure_axes_.insert(NameOf(sweep_.axis(i)));
  }
  ReadSeeds(axes);
  if (sweep_.axis_size() == 0 && sweep_.seeds_size() == 0 && !provenance_.IsBroken("seeds")) {
    Fail("axis", "the sweep is empty: it needs an axis or seeds");
  }
  CheckNames(axes);
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

SweepAxis SweepAxisReader::ReadAxis(const config::SweepAxis& axis, const std::string& place) {
  SweepAxis read;
  read.name = NameOf(axis);
  if (!axis.field().empty()) {
    ReadField(axis, place, read);
  } else if (axis.zip_size() > 0) {
    ReadZip(axis, place, read);
  } else {
    if (read.name.empty()) Fail(place + ".name", "an axis of points needs a name");
    ReadPoints(axis, place, read);
  }
  std::set<std::string> labels;
  for (const SweepPoint& point : read.points) {
    if (!labels.insert(point.label).second) {
      Fail(place, absl::StrCat("axis ", read.name, " has '", point.label, "' twice"));
    }
  }
  return read;
}

void SweepAxisReader::ReadField(const config::SweepAxis& axis, const std::string& place,
                                SweepAxis& read) {
  const std::vector<std::string> values = FieldValues(axis, place);
  read.is_seed = axis.field() == kSeedField;
  for (size_t i = 0; i < values.size(); ++i) {
    const std::string element = absl::StrCat(place, ".values[", i, "]");
    const std::string override_text = absl::StrCat(axis.field(), "=", values[i]);
    const size_t before = problems_.size();
    TryOverride(override_text, absl::StrCat(Describe(element), ": axis ", read.name),
                absl::StrCat("axis ", read.name));
    read.points.push_back({values[i], {}, {override_text}});
    // A field that does not exist is told once, not once a value.
    if (problems_.size() > before) break;
  }
}

void SweepAxisReader::FailRange(const std::string& place, std::initializer_list<const char*> parts,
                                std::string what) {
  for (const char* part : parts) {
    if (provenance_.IsBroken(JoinPath(place, part))) return;
  }
  Fail(place, std::move(what));
}

std::vector<std::string> SweepAxisReader::FieldValues(const config::SweepAxis& axis,
                                                      const std::string& place) {
  const int forms = (axis.values_size() > 0 ? 1 : 0) + (axis.has_range() ? 1 : 0) +
                    (axis.has_log_range() ? 1 : 0);
  if (forms != 1) {
    Fail(place, absl::StrCat("axis of ", axis.field(), forms == 0 ? " has no values: it" : "",
                             " needs exactly one of values, range and log_range"));
    return {};
  }
  if (axis.values_size() > 0) return {axis.values().begin(), axis.values().end()};
  if (axis.has_log_range()) {
    const config::SweepLogRange& range = axis.log_range();
    if (range.has_from() && range.has_to() && range.has_count()) return ValuesOf(range);
    FailRange(place + ".log_range", {"from", "to", "count"}, "log_range needs from, to and count");
    return {};
  }
  const config::SweepRange& range = axis.range();
  if (!range.has_from() || !range.has_to() || !range.has_step()) {
    FailRange(place + ".range", {"from", "to", "step"}, "range needs from, to and step");
  } else if (range.from() > range.to()) {
    Fail(place + ".range", "range is empty: from is greater than to");
  } else if (NumValues(range) > kMostValues) {
    Fail(place + ".range", absl::StrCat("range has more than ", kMostValues, " values"));
  } else {
    return ValuesOf(range);
  }
  return {};
}

void SweepAxisReader::ReadZip(const config::SweepAxis& axis, const std::string& place,
                              SweepAxis& read) {
  const int length = axis.zip(0).values_size();
  read.points.resize(static_cast<size_t>(length));
  if (length == 0) Fail(place + ".zip[0].values", "zip has no values");
  std::set<std::string> fields;
  for (int i = 0; i < axis.zip_size(); ++i) {
    const config::SweepZip& zip = axis.zip(i);
    const std::string element = absl::StrCat(place, ".zip[", i, "]");
    if (zip.field().empty()) Fail(element + ".field", "zip needs a field");
    if (!fields.insert(zip.field()).second) {
      Fail(element, absl::StrCat(zip.field(), " has two values in one trial: axis ", read.name,
                                 " names it twice"));
    }
    if (zip.values_size() != length) {
      Fail(element + ".values",
           absl::StrCat("fields of a zip step together, so they need equally many "
                        "values: ",
                        axis.zip(0).field(), " has ", length, ", ", zip.field(), " has ",
                        zip.values_size()));
      continue;
    }
    for (int j = 0; j < length && !zip.field().empty(); ++j) {
      SweepPoint& point = read.points[static_cast<size_t>(j)];
      absl::StrAppend(&point.label, i == 0 ? "" : "/", zip.values(j));
      point.overrides.push_back(absl::StrCat(zip.field(), "=", zip.values(j)));
      const std::string where = Describe(absl::StrCat(element, ".values[", j, "]"));
      const size_t before = problems_.size();
      TryOverride(point.overrides.back(), absl::StrCat(where, ": axis ", read.name),
                  absl::StrCat("axis ", read.name));
      if (problems_.size() > before) break;
    }
  }
}

void SweepAxisReader::ReadPoints(const config::SweepAxis& axis, const std::string& place,
                                 SweepAxis& read) {
  for (int i = 0; i < axis.point_size(); ++i) {
    read.points.push_back(ReadPoint(axis.point(i), absl::StrCat(place, ".point[", i, "]"),
                                    absl::StrCat("axis ", read.name)));
  }
}

SweepPoint SweepAxisReader::ReadPoint(const config::SweepPoint& point, const std::string& place,
                                      const std::string& owner) {
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
  std::set<std::string> fields;
  for (int i = 0; i < point.set_size(); ++i) {
    const std::string element = absl::StrCat(place, ".set[", i, "]");
    if (!fields.insert(PathOf(point.set(i))).second) {
      Fail(element, absl::StrCat(PathOf(point.set(i)), " has two values in one trial: point ",
                                 read.label, " sets it twice"));
    }
    TryOverride(point.set(i), absl::StrCat(Describe(element), ": ", owner, ", point ", read.label),
                owner);
    read.overrides.push_back(point.set(i));
  }
  return read;
}

void SweepAxisReader::ReadSeeds(std::vector<SweepAxis>& axes) {
  if (sweep_.seeds_size() == 0) return;
  SweepAxis seeds;
  seeds.name = kSeedField;
  seeds.is_seed = true;
  std::set<int64_t> seen;
  for (int i = 0; i < sweep_.seeds_size(); ++i) {
    const std::string element = absl::StrCat("seeds[", i, "]");
    const std::string text = absl::StrCat(sweep_.seeds(i));
    if (!seen.insert(sweep_.seeds(i)).second) Fail(element, absl::StrCat("seed ", text, " twice"));
    if (i == 0) {
      TryOverride(absl::StrCat(kSeedField, "=", text), absl::StrCat(Describe(element), ": seeds"),
                  "seeds");
    }
    seeds.points.push_back({text, {}, {absl::StrCat(kSeedField, "=", text)}});
  }
  axes.push_back(std::move(seeds));
}

void SweepAxisReader::CheckNames(const std::vector<SweepAxis>& axes) {
  std::set<std::string> names;
  for (const SweepAxis& axis : axes) {
    if (axis.name.empty() || names.insert(axis.name).second) continue;
    Fail("axis", absl::StrCat("two axes are called ", axis.name, "; give one a name of its own"));
  }
}

}  // namespace equipoise::launcher
