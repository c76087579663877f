#ifndef EQUIPOISE_COMM_BACKENDS_THREAD_COMMUNICATOR_H_
#define EQUIPOISE_COMM_BACKENDS_THREAD_COMMUNICATOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "comm/communicator.h"

namespace equipoise::comm {

class WorldState;
class Group;

// A world whose ranks are threads of this process: tensors really move, between one rank's memory
// and another's. Create it, hand each thread its communicator with Take(), join the threads, and
// only then destroy it. Thread-safe. See run_ranks.h for the usual way to use one.
//
// Reductions add in rank order. A communicator that is destroyed (its rank returned or died) fails
// the collectives that its rank has not entered, so that nobody waits for the dead.
class ThreadWorld {
 public:
  struct Options {
    int num_ranks = 1;
    // The node each rank pretends to live on; empty: all on node 0. Seen through
    // Communicator::host(); does not change how bytes move.
    std::vector<int> node_of_rank = {};
    // What Communicator::node_group() says on each node; "" beyond its end.
    std::vector<std::string> group_of_node = {};
    std::string name = "world";
    // Of every wait that does not say otherwise.
    Patience patience = {};
    // The most memory that one rank may share with others in one allocation.
    size_t shared_bytes = SIZE_MAX;
  };

  // InvalidArgument when num_ranks < 1 or node_of_rank is neither empty nor num_ranks long.
  static absl::StatusOr<std::unique_ptr<ThreadWorld>> Create(const Options& options);
  ~ThreadWorld();
  ThreadWorld(const ThreadWorld&) = delete;
  ThreadWorld& operator=(const ThreadWorld&) = delete;

  // The communicator of `rank`. Call once per rank.
  std::unique_ptr<Communicator> Take(int rank);

  // As Communicator::Abort, from outside any rank.
  void Abort(const absl::Status& reason);

 private:
  explicit ThreadWorld(const Options& options);

  const Options options_;
  const std::shared_ptr<WorldState> state_;
  const std::shared_ptr<Group> group_;
};

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_BACKENDS_THREAD_COMMUNICATOR_H_
