#include "launcher/config/sweep_loader.h"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "configs/schema/sweep.pb.h"
#include "launcher/config/binder.h"
#include "launcher/config/problem.h"
#include "launcher/config/provenance.h"
#include "launcher/config/suggest.h"
#include "launcher/config/sweep_axis_reader.h"
#include "launcher/config/sweep_values.h"
#include "launcher/config/syntax.h"
#include "launcher/config/text_file.h"

namespace equipoise::launcher {
namespace {

namespace fs = std::filesystem;

// What `word` could have been: the nearest of `known`, else all of them.
std::string OneOf(const std::string& word, const std::vector<std::string>& known) {
  const std::string nearest = DidYouMean(word, known);
  return nearest.empty() ? absl::StrCat("; there are ", absl::StrJoin(known, ", ")) : nearest;
}

class SweepLoader {
 public:
  explicit SweepLoader(const std::string& path) { spec_.path = path; }

  absl::StatusOr<SweepSpec> Run(const std::vector<std::string>& overrides) {
    const absl::StatusOr<std::string> text = ReadConfigText(spec_.path);
    if (!text.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(spec_.path, ": ", text.status().message(), "\n"));
    }
    const int source = problems_.AddSource(spec_.path, *text, /*is_file=*/true);
    Binder(sweep_, "a sweep", provenance_, problems_)
        .BindFile(ParseFields(*text, source, problems_));
    // What cannot be read makes everything behind it a guess.
    if (problems_.has_syntax_problems()) return problems_.ToStatus();
    ReadNames();
    SweepAxisReader axes(sweep_, fs::path(spec_.path).parent_path().string(), provenance_,
                         problems_);
    spec_.changes = axes.ReadChanges();
    spec_.overrides = overrides;
    axes.ReadOverrides(overrides);
    spec_.axes = axes.ReadAxes();
    unsure_axes_ = axes.unsure_axes();
    ReadSkips();
    ReadTrial();
    if (!problems_.empty()) return problems_.ToStatus();
    return spec_;
  }

 private:
  // Unless what stands there has been reported already.
  void Fail(const std::string& path, std::string what) {
    if (provenance_.IsBroken(path)) return;
    problems_.Add(provenance_.Find(path), std::move(what));
  }

  void ReadNames() {
    const fs::path file(spec_.path);
    spec_.name = sweep_.name().empty() ? file.stem().string() : sweep_.name();
    const std::string& name = sweep_.name();
    if (name == "." || name.find("..") != std::string::npos ||
        name.find_first_of("/\\") != std::string::npos) {
      Fail("name", absl::StrCat("name: \"", name, "\" must name a folder below runs/: no '/', ",
                                "'\\' or '..'; --out says where else the sweep goes"));
    }
    if (!sweep_.has_base()) {
      return Fail("base", "base must be set: the configuration that every trial starts from");
    }
    spec_.base = (file.parent_path() / sweep_.base()).lexically_normal().string();
    const absl::StatusOr<std::string> text = ReadConfigText(spec_.base);
    if (!text.ok()) {
      Fail("base", absl::StrCat("base \"", sweep_.base(), "\": ", spec_.base, ": ",
                                text.status().message()));
    }
  }

  void ReadSkips() {
    for (int i = 0; i < sweep_.skip_size(); ++i) {
      const std::string path = absl::StrCat("skip[", i, "]");
      std::vector<SweepCondition> conditions;
      for (int j = 0; j < sweep_.skip(i).when_size(); ++j) {
        const std::string place = absl::StrCat(path, ".when[", j, "]");
        const std::optional<SweepCondition> condition =
            ReadCondition(sweep_.skip(i).when(j), place);
        if (condition.has_value()) conditions.push_back(*condition);
      }
      if (sweep_.skip(i).when_size() == 0) {
        Fail(path + ".when", "skip has no when, and would leave out everything");
      }
      spec_.skips.push_back(std::move(conditions));
    }
  }

  std::optional<SweepCondition> ReadCondition(const std::string& text, const std::string& place) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      Fail(place, absl::StrCat("when: \"", text, "\": expected AXIS=POINT or AXIS!=POINT"));
      return std::nullopt;
    }
    SweepCondition condition;
    condition.equal = text[equals - 1] != '!';
    const std::string name(
        absl::StripAsciiWhitespace(text.substr(0, condition.equal ? equals : equals - 1)));
    const std::string label(absl::StripAsciiWhitespace(text.substr(equals + 1)));
    if (!FindPoint(name, label, place, &condition)) return std::nullopt;
    return condition;
  }

  bool FindPoint(const std::string& name, const std::string& label, const std::string& place,
                 SweepCondition* condition) {
    // Conditions on axes that could not be read cannot be judged. An axis without a name could have
    // any.
    if (unsure_axes_.contains(name)) return false;
    std::vector<std::string> names;
    for (size_t i = 0; i < spec_.axes.size(); ++i) {
      names.push_back(spec_.axes[i].name);
      if (spec_.axes[i].name != name) continue;
      std::vector<std::string> labels;
      for (size_t j = 0; j < spec_.axes[i].points.size(); ++j) {
        labels.push_back(spec_.axes[i].points[j].label);
        condition->axis = i;
        condition->point = j;
        if (CanonicalValue(labels.back()) == CanonicalValue(label)) return true;
      }
      Fail(place,
           absl::StrCat("when: axis ", name, " has no point '", label, "'", OneOf(label, labels)));
      return false;
    }
    if (unsure_axes_.contains("")) return false;
    for (const std::string& unsure : unsure_axes_) {
      if (std::find(names.begin(), names.end(), unsure) == names.end()) names.push_back(unsure);
    }
    Fail(place, absl::StrCat("when: no axis is called '", name, "'", OneOf(name, names)));
    return false;
  }

  void ReadTrial() {
    spec_.trial.ranks = sweep_.trial().ranks();
    spec_.trial.retries = sweep_.trial().retries();
    spec_.trial.max_minutes = sweep_.trial().max_minutes();
    spec_.trial.mpirun = sweep_.trial().mpirun();
    if (provenance_.IsWritten("trial.mpirun")) {
      spec_.trial.mpirun_place = problems_.Describe(provenance_.Find("trial.mpirun"));
    }
    if (absl::StripAsciiWhitespace(spec_.trial.mpirun).empty()) {
      Fail("trial.mpirun", "trial.mpirun is empty; leave it out for the default");
    }
    if (!sweep_.has_median_stopping()) return;
    const config::SweepMedianStopping& median = sweep_.median_stopping();
    spec_.median_stopping = MedianStoppingOptions{median.metric(), median.after_steps(),
                                                  median.every_steps(), median.min_trials()};
  }

  SweepSpec spec_;
  std::set<std::string> unsure_axes_;
  config::Sweep sweep_;
  ProblemList problems_;
  Provenance provenance_{Location{}};
};

}  // namespace

absl::StatusOr<SweepSpec> LoadSweep(const std::string& path,
                                    const std::vector<std::string>& overrides) {
  return SweepLoader(path).Run(overrides);
}

}  // namespace equipoise::launcher
