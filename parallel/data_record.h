#ifndef EQUIPOISE_PARALLEL_DATA_RECORD_H_
#define EQUIPOISE_PARALLEL_DATA_RECORD_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/data/fingerprint.h"
#include "core/io/checkpoint_directory.h"
#include "core/io/manifest.h"

namespace equipoise::parallel {

// The texts of a run.
struct RunData {
  std::vector<DomainFingerprint> training;
  std::vector<DomainFingerprint> validation;  // empty: the run has no validation
};

// Keeps them in a checkpoint's manifest, as `data` and `validation_data` of its state.
void RecordData(const RunData& data, Manifest& manifest);

// Whether a run with `data` may go on from the checkpoint, and what it should be warned of. Sample
// numbers mean nothing in another corpus: some text would be seen twice and some never. Losses on
// another validation text do not continue a curve; a run may take up validation, though, or do
// without. FailedPrecondition with the differences and what to do; with `allow_other` they are a
// warning, as is a checkpoint from before this was kept. A record that cannot be read is refused.
absl::StatusOr<std::vector<std::string>> CheckSameData(const Checkpoint& checkpoint,
                                                       const RunData& data, bool allow_other);

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_DATA_RECORD_H_
