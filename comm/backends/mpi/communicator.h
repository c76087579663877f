#ifndef EQUIPOISE_COMM_BACKENDS_MPI_COMMUNICATOR_H_
#define EQUIPOISE_COMM_BACKENDS_MPI_COMMUNICATOR_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "comm/communicator.h"

namespace equipoise::comm {

// Exit status of a job that a rank has aborted: EX_TEMPFAIL of sysexits.h, "try again".
inline constexpr int kAbortExitCode = 75;

// What was built in, "Open MPI v4.1.4". May be called before and after MPI is initialised.
std::string MpiLibraryVersion();

// The ranks that mpirun started, one per process. Create it once, in main(), on the thread that
// will use it: MPI is asked for MPI_THREAD_FUNNELED, so every communicator made from it belongs to
// that thread. MPI_Finalize runs when the world and everything made from it is gone.
//
// After a wait has returned DeadlineExceeded or Unavailable, MPI still holds the tensors and cannot
// be finalised: destroying the world then ends the job, as Abort() does.
class MpiWorld {
 public:
  // Takes MPI's own arguments out of `argc` and `argv`; both may be null. `patience` is that of
  // every wait that does not say otherwise. FailedPrecondition when MPI is already initialised.
  static absl::StatusOr<std::unique_ptr<MpiWorld>> Create(int* argc = nullptr,
                                                          char*** argv = nullptr,
                                                          const Patience& patience = {});

  // All ranks, named "world". Lives as long as this.
  Communicator& communicator() { return *communicator_; }

 private:
  explicit MpiWorld(std::unique_ptr<Communicator> communicator)
      : communicator_(std::move(communicator)) {}

  const std::unique_ptr<Communicator> communicator_;
};

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_BACKENDS_MPI_COMMUNICATOR_H_
