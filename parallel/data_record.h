#ifndef EQUIPOISE_PARALLEL_DATA_RECORD_H_
#define EQUIPOISE_PARALLEL_DATA_RECORD_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/data/fingerprint.h"
#include "core/io/manifest.h"

namespace equipoise::parallel {

// Keeps in a checkpoint's manifest, as `data` of its state, what the run was trained on.
void RecordData(const std::vector<DomainFingerprint>& data, Manifest& manifest);

// How the data that a checkpoint was trained on differs from `data`; empty: not at all. NotFound
// when the checkpoint is from before that was kept, DataLoss when the record cannot be read.
absl::StatusOr<std::vector<std::string>> CompareData(const Manifest& manifest,
                                                     const std::vector<DomainFingerprint>& data);

}  // namespace equipoise::parallel

#endif  // EQUIPOISE_PARALLEL_DATA_RECORD_H_
