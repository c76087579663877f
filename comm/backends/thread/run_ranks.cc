#include "comm/backends/thread/run_ranks.h"

#include <exception>
#include <thread>

#include "absl/strings/str_cat.h"
#include "comm/backends/thread/mutex.h"
#include "core/base/status_macros.h"

namespace equipoise::comm {
namespace {

// Remembers which rank failed first: later failures are usually its consequences.
class FirstFailure {
 public:
  void Record(int rank, const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    if (!first_.ok()) return;
    first_ = absl::Status(status.code(), absl::StrCat("rank ", rank, ": ", status.message()));
  }
  absl::Status status() ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return first_;
  }

 private:
  Mutex mutex_;
  absl::Status first_ ABSL_GUARDED_BY(mutex_);
};

// An exception that left its thread would end the process without saying which rank threw it.
absl::Status CallBody(const RankBody& body, Communicator& world) {
  try {
    return body(world);
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("threw: ", error.what()));
  } catch (...) {
    return absl::InternalError("threw something that is not a std::exception");
  }
}

}  // namespace

absl::Status RunRanks(const ThreadWorld::Options& options, const RankBody& body,
                      std::vector<absl::Status>* outcomes) {
  EQ_ASSIGN_OR_RETURN(const std::unique_ptr<ThreadWorld> world, ThreadWorld::Create(options));
  FirstFailure failure;
  std::vector<absl::Status> statuses(static_cast<size_t>(options.num_ranks));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < options.num_ranks; ++rank) {
    threads.emplace_back([&, rank] {
      const std::unique_ptr<Communicator> communicator = world->Take(rank);
      absl::Status& status = statuses[static_cast<size_t>(rank)];
      status = CallBody(body, *communicator);
      if (status.ok()) return;
      failure.Record(rank, status);
      communicator->Abort(status);
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (outcomes != nullptr) *outcomes = std::move(statuses);
  return failure.status();
}

absl::Status RunRanks(int num_ranks, const RankBody& body, std::vector<absl::Status>* outcomes) {
  ThreadWorld::Options options;
  options.num_ranks = num_ranks;
  return RunRanks(options, body, outcomes);
}

}  // namespace equipoise::comm
