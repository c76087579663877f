#ifndef EQUIPOISE_LAUNCHER_CONFIG_RULES_H_
#define EQUIPOISE_LAUNCHER_CONFIG_RULES_H_

#include <optional>

#include "configs/schema/run.pb.h"
#include "launcher/config/problem.h"
#include "launcher/config/provenance.h"

namespace equipoise::launcher {

// What a configuration must satisfy beyond the range of each field. Reports every field that is
// required and not set, and every combination that cannot be. Fields that have been reported
// already are left alone, and so is, where a text could not be read, everything it may have set.
// `num_ranks`: of the world; without it, rules about ranks are not checked.
void CheckRules(const config::RunConfig& config, const Provenance& provenance,
                std::optional<int> num_ranks, ProblemList& problems);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_CONFIG_RULES_H_
