#include "comm/backends/mpi/runtime.h"

#include <mpi.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "comm/backends/mpi/communicator.h"
#include "comm/backends/mpi/status.h"
#include "comm/wait_clock.h"
#include "core/base/status_macros.h"

namespace equipoise::comm {

absl::StatusOr<std::shared_ptr<MpiRuntime>> MpiRuntime::Create(int* argc, char*** argv,
                                                               const Patience& patience) {
  int initialized = 0;
  EQ_RETURN_IF_MPI_ERROR(MPI_Initialized(&initialized));
  if (initialized != 0) {
    return absl::FailedPreconditionError("MPI is already initialised; one MPI world per process");
  }
  int provided = 0;
  EQ_RETURN_IF_MPI_ERROR(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided));
  std::shared_ptr<MpiRuntime> runtime(new MpiRuntime(patience));
  EQ_RETURN_IF_MPI_ERROR(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
  EQ_RETURN_IF_MPI_ERROR(MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN));
  if (provided < MPI_THREAD_FUNNELED) {
    return absl::FailedPreconditionError(absl::StrCat("MPI supports thread level ", provided, ", ",
                                                      MPI_THREAD_FUNNELED,
                                                      " (MPI_THREAD_FUNNELED) is needed"));
  }
  EQ_ASSIGN_OR_RETURN(runtime->board_, ProgressBoard::Create(MPI_COMM_WORLD));
  EQ_ASSIGN_OR_RETURN(runtime->guard_,
                      LostNodeGuard::Create(runtime->board_.get(), patience.lost_node_after));
  return runtime;
}

MpiRuntime::~MpiRuntime() {
  if (broken_) {
    // MPI_Finalize would wait for operations that nobody will complete.
    Abort(-1, "a wait has timed out; MPI cannot be finalised");
    return;
  }
  if (guard_ != nullptr) {
    const absl::Status met = guard_->Finish();
    if (!met.ok()) ReportToStderr('E', -1, met.ToString());
  }
  guard_.reset();
  board_.reset();
  const absl::Status status = MpiStatus(MPI_Finalize(), "MPI_Finalize()");
  if (!status.ok()) ReportToStderr('E', -1, status.ToString());
}

absl::Status MpiRuntime::CheckNodes() const {
  if (guard_ == nullptr) return absl::OkStatus();
  const std::optional<std::string> loss = guard_->Loss();
  return loss.has_value() ? absl::UnavailableError(*loss) : absl::OkStatus();
}

absl::StatusOr<int> MpiRuntime::TakeSlot(MPI_Comm comm) {
  int slot = next_slot_;
  EQ_RETURN_IF_MPI_ERROR(MPI_Allreduce(MPI_IN_PLACE, &slot, 1, MPI_INT, MPI_MAX, comm));
  next_slot_ = slot + 1;
  return slot;
}

void MpiRuntime::Abort(int rank, const std::string& reason) {
  broken_ = true;
  if (aborting_) return;
  aborting_ = true;
  // The guard has told it, and ends every process.
  if (!CheckNodes().ok()) guard_->End();
  ReportToStderr('E', rank, reason);
  MPI_Abort(MPI_COMM_WORLD, kAbortExitCode);
}

}  // namespace equipoise::comm
