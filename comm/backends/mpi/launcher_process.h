#ifndef EQUIPOISE_COMM_BACKENDS_MPI_LAUNCHER_PROCESS_H_
#define EQUIPOISE_COMM_BACKENDS_MPI_LAUNCHER_PROCESS_H_

#include <string>

#include "absl/time/time.h"

namespace equipoise::comm {

// Whether this process was started by an mpirun on its own node. On other nodes mpirun's daemon is
// the parent.
bool ParentIsMpirun();

// After how long OpenMPI's mpirun notices by itself that a node is gone: what its
// oob_tcp_keepalive_* parameters come to, which it passes on to ranks in their environment. By
// default 8 minutes.
absl::Duration MpirunNoticesAfter();

// The parameters that make mpirun notice soon after `limit`, as its command line has them.
std::string MpirunNoticeFlags(absl::Duration limit);

// An mpirun that has lost a node never ends: it waits for its daemon there. And a daemon that has
// lost mpirun waits for that. Leaves a process behind that kills the parent of this one, if it is
// one of the two and still there after `patience`. The process holds none of this one's files. To
// be called shortly before this process ends.
void KillParentAfter(absl::Duration patience);

// Ends this process at once, with kAbortExitCode and without MPI_Finalize, which tells mpirun as
// much as MPI_Abort would. For a thread that may not call MPI while the others may be anywhere.
[[noreturn]] void EndThisProcess();

}  // namespace equipoise::comm

#endif  // EQUIPOISE_COMM_BACKENDS_MPI_LAUNCHER_PROCESS_H_
