#ifndef EQUIPOISE_TESTS_PARALLEL_GOLDEN_RUN_H_
#define EQUIPOISE_TESTS_PARALLEL_GOLDEN_RUN_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "comm/communicator.h"

namespace equipoise::testing_support {

// The variants that tests/testdata/make_goldens.py computed.
std::vector<std::string> Goldens();

// Trains as PyTorch did in double precision and expects the same: losses of ten AdamW steps, every
// gradient of the first, every parameter after the last. Collective; experts are sharded over all
// ranks. Values that differ are reported through EXPECT_*.
absl::Status TrainAgainstGolden(comm::Communicator& world, const std::string& name, bool recompute);

}  // namespace equipoise::testing_support

#endif  // EQUIPOISE_TESTS_PARALLEL_GOLDEN_RUN_H_
