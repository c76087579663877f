#ifndef EQUIPOISE_LAUNCHER_CONFIG_RULE_CONTEXT_H_
#define EQUIPOISE_LAUNCHER_CONFIG_RULE_CONTEXT_H_

#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "configs/schema/run.pb.h"
#include "launcher/config/problem.h"
#include "launcher/config/provenance.h"

namespace equipoise::launcher {

// What a rule looks at, and where it reports.
struct RuleContext {
  const config::RunConfig& config;
  const Provenance& provenance;
  std::optional<int> num_ranks;
  ProblemList& problems;

  // Whether the values of these fields can be judged: none of them has been reported already, nor
  // may a text that could not be read have set it.
  bool Usable(std::initializer_list<const char*> paths) const;
  // Reports at the one of `paths` that the last text wrote (the first of several): it made the
  // combination what it is. If nobody wrote any: at the block around the first.
  void Fail(const std::vector<std::string>& paths, std::string what) const;
};

// The rules by topic.
void CheckModelRules(const RuleContext& context);
void CheckMoeRules(const RuleContext& context);
void CheckLayoutRules(const RuleContext& context);
void CheckBatchRules(const RuleContext& context);
void CheckOptimizerRules(const RuleContext& context);
void CheckDataRules(const RuleContext& context);
void CheckRunRules(const RuleContext& context);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_RULE_CONTEXT_H_
