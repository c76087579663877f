#ifndef EQUIPOISE_LAUNCHER_COMMANDS_RUN_SUMMARY_H_
#define EQUIPOISE_LAUNCHER_COMMANDS_RUN_SUMMARY_H_

#include <string>

#include "core/data/dataset.h"
#include "parallel/trainer.h"

namespace equipoise::launcher {

// What a run came to, for people: validation loss first and last beside the unigram entropy of the
// same text (what a model would score that knows nothing but how often each token occurs), by
// domain; tokens per second; balance of every MoE layer beside its sampling floor; the run
// directory. `validation` and its `windows` may be null.
std::string DescribeRun(const parallel::TrainSummary& summary, const TokenDataset* validation,
                        const ValidationWindows* windows, const std::string& run_directory);

}  // namespace equipoise::launcher

#endif  // EQUIPOISE_LAUNCHER_COMMANDS_RUN_SUMMARY_H_
