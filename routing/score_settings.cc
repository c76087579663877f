#include "routing/score_settings.h"

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "routing/angles.h"
#include "routing/logits.h"
#include "routing/losses/entropy.h"
#include "routing/losses/orthogonality.h"
#include "routing/option_problem.h"

namespace equipoise::routing {
namespace {

absl::Status ReadBias(const RouterOptions& options, SelectionBiasOptions& bias) {
  const Settings& settings = options.settings;
  EQ_ASSIGN_OR_RETURN(const int rule,
                      ReadEnum(options, "bias.rule", {"NONE", "SIGN", "PROPORTIONAL", "QUANTILE"}));
  bias.rule = static_cast<BiasRule>(rule);
  bias.rate = settings.GetDouble("bias.rate");
  bias.centre = settings.GetBool("bias.centre");
  bias.bins = static_cast<int>(settings.GetInt("bias.bins"));
  bias.range = settings.GetDouble("bias.margin_range");
  return absl::OkStatus();
}

absl::Status ReadGroups(const RouterOptions& options, GroupLimitOptions& groups) {
  groups.num_groups = static_cast<int>(options.settings.GetInt("groups.num_groups"));
  groups.top_groups = static_cast<int>(options.settings.GetInt("groups.top_groups"));
  EQ_ASSIGN_OR_RETURN(const int score, ReadEnum(options, "groups.score", {"MAX", "TOP_TWO_SUM"}));
  groups.score = static_cast<GroupScore>(score);
  return absl::OkStatus();
}

absl::Status ReadEntropyLoss(const RouterOptions& options, ScoreRouterParts& parts) {
  EntropyLossOptions loss;
  loss.coefficient = options.settings.GetDouble("entropy_loss.coefficient");
  loss.order = options.settings.GetDouble("entropy_loss.order");
  if (!std::isfinite(loss.coefficient) || !(loss.order >= 1.0 && loss.order <= 1e3)) {
    return OptionError({"entropy_loss.coefficient",
                        {"entropy_loss.order"},
                        absl::StrCat("is ", loss.coefficient, " and order ", loss.order,
                                     "; the first must be finite, the second in [1, 1000]")});
  }
  if (loss.coefficient != 0.0) parts.losses.push_back(MakeEntropyLoss(loss));
  return absl::OkStatus();
}

}  // namespace

absl::Status AddLinearLogits(const RouterOptions& options, ParameterRegistry& parameters,
                             ScoreRouterParts& parts) {
  const Parameter* weight = DeclareGate(options, parameters);
  parts.logits = MakeLinearLogits(weight);
  parts.angles = {options.hidden, MakeLinearAngles(weight)};
  if (!options.settings.Has("orthogonality_loss.coefficient")) return absl::OkStatus();
  OrthogonalityLossOptions loss;
  loss.coefficient = options.settings.GetDouble("orthogonality_loss.coefficient");
  EQ_ASSIGN_OR_RETURN(const int form,
                      ReadEnum(options, "orthogonality_loss.form", {"COSINE", "GRAM"}));
  loss.form = static_cast<OrthogonalityForm>(form);
  if (!std::isfinite(loss.coefficient) || loss.coefficient < 0.0) {
    return OptionError(
        options.kind, {"orthogonality_loss.coefficient",
                       {},
                       absl::StrCat("is ", loss.coefficient, ", must be finite and not negative")});
  }
  if (loss.coefficient > 0.0) parts.losses.push_back(MakeOrthogonalityLoss(loss, weight));
  return absl::OkStatus();
}

absl::Status CheckNoQuota(const RouterOptions& options) {
  if (!options.locality.quota.enabled()) return absl::OkStatus();
  return OptionError(
      {"",
       {"moe.locality.quota.outgoing_share"},
       absl::StrCat("router ", options.kind,
                    " chooses by whole sequences and cannot keep a quota of tokens at home: set "
                    "moe.locality.quota.outgoing_share to 1, or take moe.locality.bias")});
}

absl::Status CheckNoPreference(const RouterOptions& options) {
  const LocalityOptions& locality = options.locality;
  std::vector<absl::Status> errors;
  const auto refuse = [&](const char* field, const char* off) {
    errors.push_back(OptionError(
        {"",
         {absl::StrCat("moe.locality.", field)},
         absl::StrCat("router ", options.kind,
                      " spreads every sequence evenly over all experts, so no preference can keep "
                      "more of it on its node: set moe.locality.",
                      field, " to ", off, ", or take another router")}));
  };
  if (locality.bias.mode != LocalityBiasMode::kNone) refuse("bias.mode", "NONE");
  if (locality.loss.coefficient > 0.0) refuse("loss.coefficient", "0");
  if (locality.quota.enabled()) refuse("quota.outgoing_share", "1");
  return JoinErrors("", errors);
}

absl::StatusOr<int> ReadEnum(const RouterOptions& options, const char* setting,
                             std::initializer_list<const char*> names) {
  const std::string& value = options.settings.GetString(setting);
  int index = 0;
  for (const char* name : names) {
    if (value == name) return index;
    ++index;
  }
  return OptionError(
      options.kind,
      {setting, {}, absl::StrCat("is '", value, "', not ", absl::StrJoin(names, " or "))});
}

absl::StatusOr<SelectionOptions> ReadSelection(const RouterOptions& options,
                                               SelectionOptions selection) {
  if (options.settings.Has("bias.rule")) EQ_RETURN_IF_ERROR(ReadBias(options, selection.bias));
  if (options.settings.Has("groups.num_groups")) {
    EQ_RETURN_IF_ERROR(ReadGroups(options, selection.groups));
  }
  if (selection.bias.rule != BiasRule::kNone || selection.groups.enabled() ||
      (options.locality.num_nodes > 1 && options.locality.bias.mode != LocalityBiasMode::kNone)) {
    selection.rank_by = RankBy::kScores;
  }
  EQ_RETURN_IF_ERROR(CheckSelection(selection, options));
  return selection;
}

absl::StatusOr<ScoreRouterParts> ReadScoreParts(const RouterOptions& options,
                                                ScoreRouterParts parts) {
  const Settings& settings = options.settings;
  if (settings.Has("score")) {
    EQ_ASSIGN_OR_RETURN(const int score, ReadEnum(options, "score", {"SOFTMAX", "SIGMOID"}));
    parts.score = static_cast<ScoreFunction>(score);
  }
  if (settings.Has("renormalise")) parts.gates.normalize = settings.GetBool("renormalise");
  if (settings.Has("selection")) {
    EQ_ASSIGN_OR_RETURN(const int selected_only,
                        ReadEnum(options, "selection", {"SCORE_ALL", "SCORE_SELECTED"}));
    // A softmax over the chosen logits is the softmax over all, divided by its sum over the chosen.
    if (selected_only == 1 && parts.score == ScoreFunction::kSoftmax) parts.gates.normalize = true;
  }
  if (settings.Has("scaling_factor")) {
    parts.gates.scaling_factor = settings.GetDouble("scaling_factor");
  }
  if (settings.Has("jitter")) parts.jitter = settings.GetDouble("jitter");
  std::vector<absl::Status> errors;
  if (!std::isfinite(parts.gates.scaling_factor) || parts.gates.scaling_factor <= 0.0) {
    errors.push_back(
        OptionError({"scaling_factor",
                     {},
                     absl::StrCat("is ", parts.gates.scaling_factor, ", must be above 0")}));
  }
  if (!(parts.jitter >= 0.0 && parts.jitter < 1.0)) {
    errors.push_back(
        OptionError({"jitter", {}, absl::StrCat("is ", parts.jitter, ", must be in [0, 1)")}));
  }
  if (settings.Has("entropy_loss.coefficient")) errors.push_back(ReadEntropyLoss(options, parts));
  absl::StatusOr<SelectionOptions> selection = ReadSelection(options, parts.selection);
  errors.push_back(selection.status());
  EQ_RETURN_IF_ERROR(JoinErrors(absl::StrCat("router ", options.kind), errors));
  parts.selection = *std::move(selection);
  return parts;
}

}  // namespace equipoise::routing
