// Rules about the batch, the optimizer, the corpus, and the run as a whole.
#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "launcher/config/rule_context.h"
#include "launcher/config/suggest.h"

namespace equipoise::launcher {
namespace {

void CheckSchedule(const RuleContext& context) {
  const config::Schedule& schedule = context.config.optimizer().schedule();
  const int64_t steps = context.config.steps();
  const bool is_wsd = schedule.kind() == config::Schedule::WSD;
  if (!context.Usable({"optimizer.schedule.kind", "optimizer.schedule.decay_steps"})) return;
  if (is_wsd && schedule.decay_steps() == 0) {
    context.Fail({"optimizer.schedule.kind", "optimizer.schedule.decay_steps"},
                 "optimizer.schedule.decay_steps must be set for the schedule WSD");
  }
  if (!is_wsd && schedule.decay_steps() > 0) {
    context.Fail({"optimizer.schedule.decay_steps", "optimizer.schedule.kind"},
                 "optimizer.schedule.decay_steps has no effect: only the schedule WSD has a "
                 "final decay; did you mean kind: WSD?");
  }
  if (!context.Usable({"optimizer.schedule.warmup_steps", "steps"}) || steps == 0) return;
  if (schedule.warmup_steps() > steps) {
    context.Fail({"optimizer.schedule.warmup_steps", "steps"},
                 absl::StrCat("optimizer.schedule.warmup_steps is ", schedule.warmup_steps(),
                              ", more than the ", steps,
                              " steps of the run; set it lower, or set steps to more"));
  } else if (is_wsd && schedule.warmup_steps() + schedule.decay_steps() > steps) {
    context.Fail(
        {"optimizer.schedule.decay_steps", "optimizer.schedule.warmup_steps", "steps"},
        absl::StrCat("optimizer.schedule.warmup_steps and optimizer.schedule.decay_steps take ",
                     schedule.warmup_steps(), " + ", schedule.decay_steps(),
                     " steps, more than the ", steps,
                     " steps of the run; set one of them lower, or set steps to at least ",
                     schedule.warmup_steps() + schedule.decay_steps()));
  }
}

void CheckDomain(const RuleContext& context, const config::Domain& domain,
                 const std::string& path) {
  const std::string train = path + ".train";
  const std::string name = path + ".name";
  if (domain.train().empty() && context.Usable({train.c_str()})) {
    context.Fail({train}, absl::StrCat("domain \"", domain.name(),
                                       "\" has no files to train on: give it train: \"FILE\""));
  }
  if (domain.has_name() && domain.name().empty() && context.Usable({name.c_str()})) {
    context.Fail({name}, "the name of a domain must not be empty");
  }
  auto check_paths = [&](const auto& paths, const char* list) {
    for (int i = 0; i < paths.size(); ++i) {
      if (!paths[i].empty()) continue;
      context.Fail({absl::StrCat(path, ".", list, "[", i, "]")}, "a path must not be empty");
    }
  };
  check_paths(domain.train(), "train");
  check_paths(domain.validation(), "validation");
}

void CheckValidation(const RuleContext& context) {
  const config::Validation& validation = context.config.validation();
  const auto& domains = context.config.data().domain();
  const bool has_files = std::any_of(domains.begin(), domains.end(), [](const auto& domain) {
    return !domain.validation().empty();
  });
  if (validation.sequences() > 0 && !has_files &&
      context.Usable({"validation.sequences", "data.domain"})) {
    context.Fail({"validation.sequences", "data.domain"},
                 "validation.sequences is set, but no data.domain has validation files");
  }
  if (validation.every_steps() > 0 && validation.sequences() == 0 &&
      context.Usable({"validation.sequences", "validation.every_steps"})) {
    context.Fail({"validation.every_steps", "validation.sequences"},
                 "validation.every_steps has no effect: validation.sequences is 0");
  }
}

void CheckName(const RuleContext& context) {
  const std::string& name = context.config.name();
  if (name.empty() || !context.Usable({"name"})) return;
  constexpr size_t kLongest = 100;
  const bool legal = std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.';
  });
  if (legal && name.front() != '.' && name.front() != '-' && name.size() <= kLongest) return;
  context.Fail({"name"}, absl::StrCat("name \"", name, "\" cannot name a directory: use letters, ",
                                      "digits, '-', '_' and '.', at most ", kLongest,
                                      ", and begin with a letter or digit"));
}

void CheckResume(const RuleContext& context) {
  const std::string& resume = context.config.checkpoint().resume();
  const std::vector<std::string> words = {"auto", "never", "must"};
  if (!context.Usable({"checkpoint.resume"}) || absl::StrContains(resume, "/")) return;
  if (std::find(words.begin(), words.end(), resume) != words.end()) return;
  const std::string nearest = DidYouMean(resume, words);
  context.Fail({"checkpoint.resume"},
               absl::StrCat("checkpoint.resume \"", resume, "\" is not auto, never or must",
                            nearest.empty() ? "." : nearest,
                            " A checkpoint's folder needs a slash, as in \"./", resume, "\""));
}

}  // namespace

void CheckBatchRules(const RuleContext& context) {
  const config::Batch& batch = context.config.batch();
  const int64_t sequences = batch.sequences();
  if (context.Usable({"batch.sequences", "batch.accumulation_steps"}) && sequences > 0 &&
      batch.accumulation_steps() > sequences) {
    context.Fail({"batch.accumulation_steps", "batch.sequences"},
                 absl::StrCat("batch.accumulation_steps is ", batch.accumulation_steps(),
                              ", more than the ", sequences, " of batch.sequences"));
  }
  if (context.Usable({"batch.load_source", "batch.accumulation_steps"}) &&
      batch.load_source() == config::Batch::CURRENT_STEP && batch.accumulation_steps() > 1) {
    context.Fail({"batch.load_source", "batch.accumulation_steps"},
                 "batch.load_source CURRENT_STEP is impossible with accumulation: the first "
                 "backward pass runs before the step's load is known; did you mean PREVIOUS_STEP?");
  }
  if (context.num_ranks.has_value() && sequences > 0 && context.Usable({"batch.sequences"}) &&
      *context.num_ranks > sequences) {
    context.Fail({"batch.sequences"},
                 absl::StrCat("there are more ranks than sequences: batch.sequences is ", sequences,
                              " for ", *context.num_ranks, " ranks"));
  }
}

void CheckOptimizerRules(const RuleContext& context) { CheckSchedule(context); }

void CheckDataRules(const RuleContext& context) {
  const config::Data& data = context.config.data();
  if (data.domain().empty() && context.Usable({"data.domain"})) {
    context.Fail({"data.domain"}, "data.domain must be given at least once: the text to train on");
  }
  std::map<std::string, int> first;
  for (int i = 0; i < data.domain_size(); ++i) {
    const std::string path = absl::StrCat("data.domain[", i, "]");
    CheckDomain(context, data.domain(i), path);
    const auto [known, is_new] = first.emplace(data.domain(i).name(), i);
    if (is_new || data.domain(i).name().empty()) continue;
    const std::string other = absl::StrCat("data.domain[", known->second, "]");
    context.Fail({path + ".name"},
                 absl::StrCat("domain \"", data.domain(i).name(), "\" is given twice: first at ",
                              context.problems.Describe(context.provenance.Find(other))));
  }
  const int64_t vocabulary = context.config.model().vocabulary();
  if (context.Usable({"data.separator", "model.vocabulary"}) && vocabulary > 0 &&
      data.separator() >= vocabulary) {
    context.Fail({"data.separator", "model.vocabulary"},
                 absl::StrCat("data.separator is token ", data.separator(),
                              ", but model.vocabulary ", vocabulary, " ends at ", vocabulary - 1));
  }
  if (data.by_node() && context.config.moe().locality().nodes() == 1 &&
      context.Usable({"data.by_node", "moe.locality.nodes"})) {
    context.Fail({"data.by_node", "moe.locality.nodes"},
                 "data.by_node has no effect: moe.locality.nodes is 1");
  }
  CheckValidation(context);
}

void CheckRunRules(const RuleContext& context) {
  CheckName(context);
  CheckResume(context);
  const config::Wait& wait = context.config.wait();
  if (context.Usable({"wait.warn_seconds", "wait.stop_seconds"}) &&
      wait.stop_seconds() < wait.warn_seconds()) {
    context.Fail({"wait.stop_seconds", "wait.warn_seconds"},
                 absl::StrCat("wait.stop_seconds ", wait.stop_seconds(),
                              " is less than wait.warn_seconds ", wait.warn_seconds()));
  }
  if (context.Usable({"wait.lost_node_seconds"}) && wait.lost_node_seconds() > 0 &&
      wait.lost_node_seconds() < 1) {
    context.Fail({"wait.lost_node_seconds"},
                 absl::StrCat("wait.lost_node_seconds is ", wait.lost_node_seconds(),
                              ", must be 0 (nobody looks) or at least 1"));
  }
}

}  // namespace equipoise::launcher
