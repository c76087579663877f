#ifndef EQUIPOISE_TESTS_PARALLEL_LAYOUT_CASES_H_
#define EQUIPOISE_TESTS_PARALLEL_LAYOUT_CASES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "comm/communicator.h"
#include "comm/exchange/node_transport.h"
#include "core/tensor/dtype.h"
#include "parallel/train_options.h"

namespace equipoise::testing_support {

// One way to lay a step out over ranks.
struct TrainLayout {
  int ranks = 1;
  int expert_parallel = 1;
  int accumulation = 1;
  bool recompute = false;
  std::vector<int> owners = {};
  std::string exchange = "flat";
  int chunks = 1;
  comm::NodeTransport inside_nodes = comm::NodeTransport::kSharedMemory;
  std::vector<int> nodes = {};  // of each rank; empty: one node. Threads only.
  // The most that a rank may share with others at a time. Threads only.
  size_t shared_bytes = SIZE_MAX;

  std::string ToString() const;
};

// Layouts of `ranks` ranks: every degree of expert parallelism, 1, 2 and 4 micro-batches, with and
// without recompute, placement tables, and every exchange over some nodes.
std::vector<TrainLayout> LayoutsOf(int ranks);

// What a run of 30 steps on the synthetic text looked like.
struct TrainTrace {
  std::vector<double> losses;
  std::vector<double> gradient_norms;
  std::vector<double> counts;  // of the last step, all layers
};

// Trains on the ranks of `world`; layout.ranks must be their number. The trace is the same on every
// rank.
absl::StatusOr<TrainTrace> TraceTraining(comm::Communicator& world, const TrainLayout& layout,
                                         DType dtype, parallel::LoadSource load_source);
// The same on threads.
absl::StatusOr<TrainTrace> TraceOnThreads(const TrainLayout& layout, DType dtype,
                                          parallel::LoadSource load_source);

// max_i |a_i - b_i| / |b_i|; REQUIRES: equal sizes.
double WorstRelative(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace equipoise::testing_support

#endif  // EQUIPOISE_TESTS_PARALLEL_LAYOUT_CASES_H_
