#ifndef EQUIPOISE_COMM_BACKENDS_THREAD_RUN_RANKS_H_
#define EQUIPOISE_COMM_BACKENDS_THREAD_RUN_RANKS_H_

#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "comm/backends/thread/communicator.h"
#include "comm/communicator.h"

namespace equipoise::comm {

// What one rank does.
using RankBody = std::function<absl::Status(Communicator& world)>;

// Runs `body` once per rank of a new thread world, each on a thread of its own, and joins them.
// When one returns an error or throws, the world is aborted, so the others' waits end at once.
// Returns OK if all did, else the status of the rank that failed first, prefixed by "rank N: ".
// `outcomes`, if given, becomes every rank's own status.
absl::Status RunRanks(const ThreadWorld::Options& options, const RankBody& body,
                      std::vector<absl::Status>* outcomes = nullptr);
absl::Status RunRanks(int num_ranks, const RankBody& body,
                      std::vector<absl::Status>* outcomes = nullptr);

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_BACKENDS_THREAD_RUN_RANKS_H_
