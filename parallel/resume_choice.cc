#include "parallel/resume_choice.h"

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "core/io/file_system.h"

namespace equipoise::parallel {
namespace {

// Who goes back to an older checkpoint should know that "auto" would take the newest again.
std::vector<std::string> WarningsOfNewer(std::optional<int64_t> step,
                                         const CheckpointListing& listing) {
  if (!step.has_value() || listing.complete.empty()) return {};
  const Checkpoint& newest = listing.complete.front();
  if (newest.step <= *step) return {};
  return {absl::StrCat("starting after step ", *step, " although ", newest.path,
                       " is newer; remove it unless a later resume: \"auto\" shall go on from "
                       "there")};
}

}  // namespace

absl::StatusOr<ResumeChoice> ChooseCheckpoint(const CheckpointDirectory& directory,
                                              const std::string& resume) {
  EQ_ASSIGN_OR_RETURN(CheckpointListing listing, directory.List());
  if (resume == "never") return ResumeChoice{"", WarningsOfNewer(0, listing)};
  if (resume != "auto" && resume != "must") {
    return ResumeChoice{resume, WarningsOfNewer(StepOfCheckpointName(BaseNameOf(resume)), listing)};
  }
  if (!listing.complete.empty()) {
    return ResumeChoice{listing.complete.front().path, std::move(listing.problems)};
  }
  if (!listing.problems.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "'", directory.path(),
        "' has checkpoints, but none that is complete: ", absl::StrJoin(listing.problems, "; "),
        ". Nothing was changed. To start over, set checkpoint.resume to \"never\" and give the run "
        "a new --run_dir, or delete that folder"));
  }
  if (resume == "must") {
    return absl::NotFoundError(absl::StrCat("checkpoint.resume is \"must\", but ", directory.path(),
                                            " holds no complete checkpoint"));
  }
  return ResumeChoice{};
}

}  // namespace equipoise::parallel
