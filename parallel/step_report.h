#ifndef EQUIPOISE_PARALLEL_STEP_REPORT_H_
#define EQUIPOISE_PARALLEL_STEP_REPORT_H_

#include <string>
#include <vector>

#include "core/telemetry/step_record.h"
#include "parallel/train_step.h"
#include "routing/locality.h"
#include "routing/placement.h"

namespace equipoise::parallel {

// A step's results as telemetry reports them: load statistics beside their sampling floors, load by
// owner of experts, auxiliary losses summed over layers. Time and tokens seen are the caller's.
StepRecord ReportStep(const StepResult& result, int num_experts,
                      const routing::ExpertPlacement& placement,
                      const routing::LocalityOptions& locality = {});

// Domains without a token are left out. `bytes_per_token`: average of the text, to give bits per
// byte; 0: unknown, left out.
ValidationRecord ReportValidation(const EvaluationResult& result,
                                  const std::vector<std::string>& domains, double bytes_per_token);

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_STEP_REPORT_H_
