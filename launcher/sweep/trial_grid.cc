#include "launcher/sweep/trial_grid.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "launcher/config/loader.h"
#include "launcher/config/problem.h"
#include "launcher/sweep/trial_faults.h"

namespace equipoise::launcher {
namespace {

// The indices of the axes, the fastest first.
std::vector<size_t> FastestFirst(const std::vector<SweepAxis>& axes) {
  std::vector<size_t> order;
  for (const bool seeds : {false, true}) {
    for (size_t i = axes.size(); i-- > 0;) {
      if (axes[i].is_seed == seeds) order.push_back(i);
    }
  }
  return order;
}

// Steps to the next combination, like an odometer; false after the last.
bool Advance(const std::vector<SweepAxis>& axes, const std::vector<size_t>& fastest_first,
             Combination& combination) {
  for (const size_t axis : fastest_first) {
    if (++combination[axis] < axes[axis].points.size()) return true;
    combination[axis] = 0;
  }
  return false;
}

bool IsSkipped(const SweepSpec& spec, const Combination& combination) {
  return std::any_of(spec.skips.begin(), spec.skips.end(), [&](const auto& conditions) {
    return std::all_of(conditions.begin(), conditions.end(), [&](const SweepCondition& condition) {
      return (combination[condition.axis] == condition.point) == condition.equal;
    });
  });
}

absl::StatusOr<std::vector<Combination>> Combine(const SweepSpec& spec) {
  size_t count = 1;
  std::vector<std::string> sizes;
  for (const SweepAxis& axis : spec.axes) {
    sizes.push_back(absl::StrCat(axis.points.size(), " of ", axis.name));
    count = std::min(count * axis.points.size(), kMostTrials + 1);
  }
  if (count > kMostTrials) {
    return absl::InvalidArgumentError(absl::StrCat(
        spec.path, ": the axes have more than ", kMostTrials,
        " combinations: ", absl::StrJoin(sizes, " times "), "; shorten one, or make two files\n"));
  }
  std::vector<Combination> combinations;
  const std::vector<size_t> order = FastestFirst(spec.axes);
  Combination combination(spec.axes.size(), 0);
  do {
    if (!IsSkipped(spec, combination)) combinations.push_back(combination);
  } while (Advance(spec.axes, order, combination));
  if (combinations.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(spec.path, ": the sweep is empty: its skips leave nothing of the ", count,
                     count == 1 ? " combination\n" : " combinations\n"));
  }
  return combinations;
}

LoadRequest RequestOf(const SweepSpec& spec, const Combination& combination) {
  LoadRequest request;
  request.path = spec.base;
  request.changes = spec.changes;
  request.overrides = spec.overrides;
  request.num_ranks = spec.trial.ranks;
  request.replaced_choice_advice = "skip this combination";
  for (size_t axis = 0; axis < combination.size(); ++axis) {
    const SweepPoint& point = spec.axes[axis].points[combination[axis]];
    request.fragments.insert(request.fragments.end(), point.fragments.begin(),
                             point.fragments.end());
    request.changes.insert(request.changes.end(), point.changes.begin(), point.changes.end());
  }
  return request;
}

std::vector<std::string> LabelsOf(const SweepSpec& spec, const Combination& combination) {
  std::vector<std::string> labels;
  for (size_t axis = 0; axis < combination.size(); ++axis) {
    labels.push_back(spec.axes[axis].points[combination[axis]].label);
  }
  return labels;
}

}  // namespace

std::string DescribeTrial(const std::vector<SweepAxis>& axes,
                          const std::vector<std::string>& labels) {
  std::vector<std::string> parts;
  for (size_t i = 0; i < labels.size(); ++i) {
    parts.push_back(absl::StrCat(axes[i].name, "=", labels[i]));
  }
  return absl::StrJoin(parts, " ");
}

namespace {

// The trials, whose ids are hashes of experiments, and the hashes of their configurations.
struct Expansion {
  std::vector<Trial> trials;
  std::vector<std::string> config_hashes;
};

// Equal for data that open alike.
std::string KeyOf(const DatasetOptions& data) {
  std::string key = absl::StrCat(data.sequence_length, " ", data.vocab_size, " ", data.separator);
  for (const DataSource& source : data.sources) {
    absl::StrAppend(&key, "\n", source.domain, " ", static_cast<int>(source.format), " ",
                    source.weight, " ", absl::StrJoin(source.paths, " "));
  }
  return key;
}

// Trials of one experiment are told apart by all of their configuration.
std::vector<Trial> TellApart(Expansion expansion) {
  std::map<std::string, int> count;
  for (const Trial& trial : expansion.trials) ++count[trial.id];
  for (size_t i = 0; i < expansion.trials.size(); ++i) {
    std::string& id = expansion.trials[i].id;
    if (count.at(id) > 1) id = std::move(expansion.config_hashes[i]);
  }
  return std::move(expansion.trials);
}

}  // namespace

absl::StatusOr<std::vector<Trial>> ExpandSweep(const SweepSpec& spec) {
  const absl::StatusOr<std::vector<Combination>> combinations = Combine(spec);
  if (!combinations.ok()) return combinations.status();
  Expansion expansion;
  TrialFaults faults(spec.axes, *combinations);
  std::map<std::string, size_t> first_with_hash;
  for (size_t trial = 0; trial < combinations->size(); ++trial) {
    const Combination& combination = (*combinations)[trial];
    absl::StatusOr<LoadedConfig> config = LoadConfig(RequestOf(spec, combination));
    if (!config.ok()) {
      for (const std::string& report : ReportsOf(config.status())) faults.Add(trial, report);
      continue;
    }
    const auto [first, is_new] = first_with_hash.emplace(config->hash, trial);
    if (!is_new) {
      faults.AddSame(trial, first->second);
      continue;
    }
    expansion.trials.push_back({config->experiment.hash(), LabelsOf(spec, combination),
                                std::move(config->resolved_text), config->options.train.steps,
                                config->options.train.data, config->options.validation_data});
    expansion.config_hashes.push_back(config->hash);
  }
  if (!faults.empty()) return absl::InvalidArgumentError(faults.ToString());
  return TellApart(std::move(expansion));
}

absl::Status CheckData(const std::vector<SweepAxis>& axes, const std::vector<Trial>& trials) {
  std::set<std::string> opened;
  for (const Trial& trial : trials) {
    for (const DatasetOptions* data : {&trial.train_data, &trial.validation_data}) {
      if (data->sources.empty() || !opened.insert(KeyOf(*data)).second) continue;
      const absl::Status status = TokenDataset::Open(*data).status();
      if (status.ok()) continue;
      return absl::Status(
          status.code(),
          absl::StrCat(status.message(), " (trial ", DescribeTrial(axes, trial.labels),
                       "). No trial was started. launcher/corpus.sh FOLDER makes the corpus of the "
                       "presets; --set data.root=FOLDER says where it is"));
    }
  }
  return absl::OkStatus();
}

}  // namespace equipoise::launcher
