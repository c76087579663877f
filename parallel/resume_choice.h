#ifndef EQUIPOISE_PARALLEL_RESUME_CHOICE_H_
#define EQUIPOISE_PARALLEL_RESUME_CHOICE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/io/checkpoint_directory.h"

namespace equipoise::parallel {

struct ResumeChoice {
  std::string path;  // of the checkpoint to go on from; empty: none
  std::vector<std::string> warnings = {};
};

// The checkpoint that a run with checkpoint.resume `resume` goes on from: one rank looks for all.
// NotFound when there must be one and is not, FailedPrecondition when there are some and none is
// complete: what is left of them, and the curve, would be lost by starting over.
absl::StatusOr<ResumeChoice> ChooseCheckpoint(const CheckpointDirectory& directory,
                                              const std::string& resume);

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_RESUME_CHOICE_H_
